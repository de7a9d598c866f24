package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// magic begins the greeting and every control line; see docs/bridge-protocol.md.
const magic = "MCP-BRIDGE/1 "

// greetingPrefix is what tells a greeting of any version from a raw connection's first bytes.
const greetingPrefix = "MCP-BRIDGE/"

const maxGreeting = 8 << 10

type greeting struct {
	Mode    string `json:"mode"`
	Session string `json:"session,omitempty"`
	Tag     string `json:"tag,omitempty"` // shown in the log beside the child's stderr; never interpreted
}

type verdict int

const (
	undecided verdict = iota // more bytes are needed
	raw
	greeted
)

// classify looks at a connection's first bytes without consuming them.
func classify(first []byte) verdict {
	n := min(len(first), len(greetingPrefix))
	if !bytes.Equal(first[:n], []byte(greetingPrefix[:n])) {
		return raw
	}
	if n == len(greetingPrefix) {
		return greeted
	}
	return undecided
}

func parseGreeting(line []byte) (greeting, error) {
	var g greeting
	body, ok := bytes.CutPrefix(line, []byte(magic))
	if !ok {
		return g, errors.New("unknown protocol version: this bridge speaks MCP-BRIDGE/1")
	}
	if err := json.Unmarshal(body, &g); err != nil {
		return g, fmt.Errorf("the greeting is not a JSON object: %v", err)
	}
	switch g.Mode {
	case "direct", "watch":
	case "attach":
		if g.Session == "" || len(g.Session) > 256 {
			return g, errors.New("mode attach needs a session key of 1 to 256 characters")
		}
	default:
		return g, fmt.Errorf("unknown mode %q: want direct, attach or watch", g.Mode)
	}
	return g, nil
}

// controlLine is one `MCP-BRIDGE/1 {json}` line with its newline.
func controlLine(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // only our own structs come here
		panic(err)
	}
	return append(append([]byte(magic), body...), '\n')
}

type refusal struct {
	Error   string `json:"error"`  // greeting | capacity | draining | references | start
	Reason  string `json:"reason"` // for start: ENOENT, EACCES, ENOEXEC …
	Message string `json:"message"`
}

type accepted struct {
	Instance string `json:"instance"`
	Epoch    uint64 `json:"epoch,omitempty"` // attach: which process of this session; a new one has a new epoch
	Resumed  bool   `json:"resumed,omitempty"`
	Memo     string `json:"memo,omitempty"`
}

type exitNotice struct {
	Exit exitReport `json:"exit"`
}

// exitReport says how a child ended. Code is the shell's: 128+n for a signal.
type exitReport struct {
	Code   int      `json:"code"`
	Signal string   `json:"signal,omitempty"`
	OOM    bool     `json:"oom"`
	Stderr []string `json:"stderr,omitempty"`
}
