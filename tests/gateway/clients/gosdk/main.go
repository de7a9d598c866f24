// A client on Go's SDK: PLAN URL TOKEN → what it has seen, as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type plan struct {
	Level     mcp.LoggingLevel
	Calls     []*mcp.CallToolParams
	Prompts   []*mcp.GetPromptParams
	Resources []string
}

// notes are what the server says by itself, on another goroutine than the calls.
type notes struct {
	sync.Mutex
	progress map[any][]*mcp.ProgressNotificationParams
	logs     []*mcp.LoggingMessageParams
}

type withToken string

func (token withToken) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(request)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// attempt is the result, or the error that the server answered with.
func attempt[T any](result T, err error) any {
	var wire *jsonrpc.Error
	if errors.As(err, &wire) {
		return map[string]any{"error": wire}
	}
	return must(result, err)
}

func (heard *notes) options() *mcp.ClientOptions {
	return &mcp.ClientOptions{
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "42"}}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"colour": "blue"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, told *mcp.ProgressNotificationClientRequest) {
			heard.Lock()
			defer heard.Unlock()
			token := told.Params.ProgressToken
			heard.progress[token] = append(heard.progress[token], told.Params)
		},
		LoggingMessageHandler: func(_ context.Context, told *mcp.LoggingMessageRequest) {
			heard.Lock()
			defer heard.Unlock()
			heard.logs = append(heard.logs, told.Params)
		},
	}
}

func connect(ctx context.Context, heard *notes, url, token string) *mcp.ClientSession {
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, heard.options())
	http := &http.Client{Transport: withToken(token)}
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: http}
	if strings.HasSuffix(url, "/sse") {
		transport = &mcp.SSEClientTransport{Endpoint: url, HTTPClient: http}
	}
	return must(client.Connect(ctx, transport, nil))
}

func look(ctx context.Context, session *mcp.ClientSession, asked plan, heard *notes) map[string]any {
	version := session.InitializeResult().ProtocolVersion
	if asked.Level != "" && version < "2026" {
		must(0, session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: asked.Level}))
	}
	var called, got, read []any
	for number, call := range asked.Calls {
		call.SetProgressToken(number)
		called = append(called, attempt(session.CallTool(ctx, call)))
	}
	for _, prompt := range asked.Prompts {
		got = append(got, attempt(session.GetPrompt(ctx, prompt)))
	}
	for _, uri := range asked.Resources {
		read = append(read, attempt(session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})))
	}
	seen := map[string]any{
		"version":   version,
		"tools":     must(session.ListTools(ctx, nil)).Tools,
		"prompts":   must(session.ListPrompts(ctx, nil)).Prompts,
		"resources": must(session.ListResources(ctx, nil)).Resources,
		"templates": must(session.ListResourceTemplates(ctx, nil)).ResourceTemplates,
		"called":    called,
		"got":       got,
		"read":      read,
	}
	must(0, session.Close())
	seen["progress"], seen["logs"] = heard.all(len(asked.Calls))
	return seen
}

// all is the progress of each call, and the logs.
func (heard *notes) all(calls int) (progress [][]*mcp.ProgressNotificationParams, logs []*mcp.LoggingMessageParams) {
	heard.Lock()
	defer heard.Unlock()
	for number := range calls {
		progress = append(progress, heard.progress[float64(number)])
	}
	return progress, heard.logs
}

func main() {
	var asked plan
	must(0, json.Unmarshal([]byte(os.Args[1]), &asked))
	ctx, heard := context.Background(), &notes{progress: map[any][]*mcp.ProgressNotificationParams{}}
	session := connect(ctx, heard, os.Args[2], os.Args[3])
	must(0, json.NewEncoder(os.Stdout).Encode(look(ctx, session, asked, heard)))
}
