// A client on Go's SDK: URL TOKEN → what it has seen, as JSON.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

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

func main() {
	ctx, url := context.Background(), os.Args[1]
	var steps []float64
	options := &mcp.ClientOptions{
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "42"}}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"colour": "blue"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, told *mcp.ProgressNotificationClientRequest) {
			steps = append(steps, told.Params.Progress)
		},
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	http := &http.Client{Transport: withToken(os.Args[2])}
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: http}
	if strings.HasSuffix(url, "/sse") {
		transport = &mcp.SSEClientTransport{Endpoint: url, HTTPClient: http}
	}
	session := must(client.Connect(ctx, transport, nil))

	text := func(tool string, arguments map[string]any, token string) string {
		params := &mcp.CallToolParams{Name: tool, Arguments: arguments}
		if token != "" {
			params.SetProgressToken(token)
		}
		return must(session.CallTool(ctx, params)).Content[0].(*mcp.TextContent).Text
	}
	names := []string{}
	for _, tool := range must(session.ListTools(ctx, nil)).Tools {
		names = append(names, tool.Name)
	}
	sort.Strings(names)
	found := map[string]any{
		"version":  session.InitializeResult().ProtocolVersion,
		"tools":    names,
		"counts":   []string{text("old_count", nil, ""), text("old_count", nil, "")},
		"work":     text("old_work", map[string]any{"steps": 3}, "t"),
		"paint":    text("old_paint", nil, ""),
		"think":    text("old_think", nil, ""),
		"prompt":   must(session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "old_greet", Arguments: map[string]string{"whom": "Zoë"}})).Messages[0].Content.(*mcp.TextContent).Text,
		"resource": must(session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "memo://fastmcp1/all"})).Contents[0].Text,
	}
	found["steps"] = steps
	must(0, session.Close())
	must(0, json.NewEncoder(os.Stdout).Encode(found))
}
