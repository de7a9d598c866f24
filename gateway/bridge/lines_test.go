package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func split(t *testing.T, chunks ...[]byte) (lines []string) {
	t.Helper()
	var s lineSplitter
	for _, chunk := range chunks {
		must(t, s.feed(chunk, func(line []byte) error {
			lines = append(lines, string(line))
			return nil
		}))
	}
	return lines
}

func TestLinesAreWholeForAnyChunks(t *testing.T) {
	got := split(t, []byte("{1"), []byte("}\n"), []byte("\n{2}\n{3}"), []byte("\n{4"))
	if !slices.Equal(got, []string{"{1}", "", "{2}", "{3}"}) {
		t.Fatalf("%q", got)
	}
}

func TestALineOverTheLimitIsAnErrorWithAndWithoutItsEnd(t *testing.T) {
	nothing := func([]byte) error { return nil }
	var s lineSplitter
	must(t, s.feed(make([]byte, maxLine), nothing))
	if err := s.feed([]byte("x\n"), nothing); !errors.Is(err, errLineTooLong) {
		t.Fatal(err)
	}
	if err := (&lineSplitter{}).feed(make([]byte, maxLine+1), nothing); !errors.Is(err, errLineTooLong) {
		t.Fatal(err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{1}\n{2}"), uint8(3))
	f.Add([]byte("\r\n\x00\n\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		want := strings.Split(string(input), "\n")
		got := split(t, slices.Collect(slices.Chunk(input, int(size)+1))...)
		if !slices.Equal(got, want[:len(want)-1]) {
			t.Fatalf("%q from %q", got, input)
		}
	})
}

func FuzzGreeting(f *testing.F) {
	for _, seed := range []string{
		"{}", "MCP-BRIDGE/1 {\"mode\":\"direct\"}\n{}", "MCP-BRIDGE/2 x\n", "MCP-BRIDGE/1 {\"mode\":\"attach\",\"session\":\"k\",\"tag\":\"\\u001b[31m\"}\n",
		"MCP-BRIDGE/1 {\"mode\":\"attach\",\"session\":\"\"}\n", "MCP-BRI", "\n", "MCP-BRIDGE/1 [[[[\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, first []byte) {
		kind, line, err := judge(first)
		if wants := bytes.HasPrefix(first, []byte(greetingPrefix)); wants != (kind == greeted) && err == nil && bytes.ContainsRune(first, '\n') {
			t.Fatalf("%q is %v", first, kind)
		}
		if kind != greeted {
			return
		}
		g, err := parseGreeting(line)
		if err != nil {
			return
		}
		if g.Mode == "attach" && (g.Session == "" || len(g.Session) > maxSession) {
			t.Fatalf("session %q", g.Session)
		}
		if g.Tag == "" || len(g.Tag) > maxTag || strings.ContainsAny(g.Tag, "\r\n\x1b[] ") {
			t.Fatalf("tag %q", g.Tag)
		}
		if bytes.ContainsRune(bytes.TrimSuffix(controlLine(refusal{Message: g.Mode + g.Session}), []byte("\n")), '\n') {
			t.Fatal("two lines")
		}
	})
}
