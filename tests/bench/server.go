// Command server is the cheapest honest MCP server: one echo tool, both eras, so that measurements show the way to it.
package main

import (
	"bufio"
	"encoding/json"
	"os"
)

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Arguments struct {
			Text string `json:"text"`
		} `json:"arguments"`
	} `json:"params"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil || m.ID == nil {
			continue
		}
		_, _ = os.Stdout.Write(append(answer(m), '\n'))
	}
}

func answer(m message) []byte {
	var result any
	switch m.Method {
	case "server/discover":
		result = map[string]any{"resultType": "complete", "supportedVersions": []string{"2026-07-28"}, "capabilities": map[string]any{"tools": map[string]any{}}}
	case "initialize":
		info := map[string]string{"name": "bench", "version": "1"}
		result = map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": info}
	case "tools/list":
		result = map[string]any{"resultType": "complete", "tools": []any{map[string]any{"name": "echo", "inputSchema": map[string]any{"type": "object"}}}}
	default:
		text := map[string]string{"type": "text", "text": m.Params.Arguments.Text}
		result = map[string]any{"resultType": "complete", "content": []any{text}}
	}
	body, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": m.ID, "result": result})
	return body
}
