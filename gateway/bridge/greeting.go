package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// magic begins the greeting and every control line; see docs/bridge-protocol.md.
const magic = "MCP-BRIDGE/1 "

// greetingPrefix distinguishes a greeting of any version from a raw connection's first bytes.
const greetingPrefix = "MCP-BRIDGE/"

const (
	maxGreeting = 8 << 10
	maxSession  = 256
	maxTag      = 32
)

type greeting struct {
	Mode    string `json:"mode"`
	Session string `json:"session,omitempty"`
	Tag     string `json:"tag,omitempty"` // shown in the log beside the child's stderr; never interpreted
	Token   string `json:"token,omitempty"`
}

type verdict int

const (
	undecided verdict = iota // more bytes are needed
	raw
	greeted
)

// classify decides by a connection's first bytes.
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
		return g, errors.New("unknown protocol version: this bridge supports MCP-BRIDGE/1")
	}
	if err := json.Unmarshal(body, &g); err != nil {
		return g, fmt.Errorf("the greeting is not a JSON object: %v", err)
	}
	switch g.Mode {
	case "direct", "watch":
	case "attach":
		if g.Session == "" || len(g.Session) > maxSession {
			return g, fmt.Errorf("mode attach needs a session key of 1 to %d characters", maxSession)
		}
	default:
		return g, fmt.Errorf("unknown mode %q: use direct, attach or watch", g.Mode)
	}
	g.Tag = cleanTag(g.Tag, g.Mode)
	return g, nil
}

// cleanTag keeps the characters that cannot be confused with a log line's own structure.
func cleanTag(tag, otherwise string) string {
	clean := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '[' && r != ']' {
			return r
		}
		return -1
	}, tag)
	if clean == "" {
		return otherwise
	}
	return clean[:min(len(clean), maxTag)]
}

// controlLine is a `MCP-BRIDGE/1 {json}` line with its newline.
func controlLine(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // only our own structs come here
		panic(err)
	}
	return append(append([]byte(magic), body...), '\n')
}

// refusal is why a connection is refused or ended; docs/bridge-protocol.md lists the errors.
type refusal struct {
	Error      string      `json:"error"`
	Reason     string      `json:"reason,omitempty"` // for start: ENOENT, EACCES, ENOEXEC …
	Message    string      `json:"message"`
	RetryAfter float64     `json:"retryAfter,omitempty"` // seconds
	Exit       *exitReport `json:"exit,omitempty"`       // a shell's exit code, or how the last process ended
}

func (r *refusal) same(other *refusal) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Error == other.Error && r.Reason == other.Reason && r.Message == other.Message
}

type accepted struct {
	Instance string  `json:"instance"`
	Epoch    uint64  `json:"epoch,omitempty"` // attach: which process of this bridge; the same number is the same process
	Resumed  bool    `json:"resumed,omitempty"`
	Acked    *uint64 `json:"acked,omitempty"`    // attach: lines of output released; the next one is number acked+1
	Received *uint64 `json:"received,omitempty"` // attach: lines of input taken
	Memo     string  `json:"memo,omitempty"`
}

type exitNotice struct {
	Exit exitReport `json:"exit"`
}

// exitReport is how a child ended. Code is the shell's: 128+n for a signal.
type exitReport struct {
	Code    int      `json:"code"`
	Signal  string   `json:"signal,omitempty"`
	OOM     bool     `json:"oom"`
	Ended   string   `json:"ended,omitempty"`   // why the bridge ended it: released | idle | linger | hangup | drain | line | memory | changed
	Head    []string `json:"head,omitempty"`    // the first lines on stderr, if they are not among the last
	Omitted int      `json:"omitted,omitempty"` // lines between these and the last
	Stderr  []string `json:"stderr,omitempty"`  // the last lines on stderr
	Recent  int      `json:"recent,omitempty"`  // how many of these were written after the last output
	Stdout  []string `json:"stdout,omitempty"`  // attach: the first lines on stdout that are no messages
}
