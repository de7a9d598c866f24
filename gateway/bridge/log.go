package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logger writes whole lines to the container log and counts what the rate limit held back.
type logger struct {
	mu      sync.Mutex
	out     io.Writer
	window  time.Time
	lines   int
	dropped int
}

// A server that floods stderr must not fill the node's disk; 500 lines a second is far above what people read.
const maxLinesPerSecond = 500

func newLogger(out io.Writer) *logger { return &logger{out: out} }

func (l *logger) printf(format string, args ...any) {
	l.line("mcp-bridge", fmt.Sprintf(format, args...))
}

func (l *logger) line(tag, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.window) >= time.Second {
		if l.dropped > 0 {
			fmt.Fprintf(l.out, "[mcp-bridge] %d lines dropped: more than %d a second\n", l.dropped, maxLinesPerSecond)
		}
		l.window, l.lines, l.dropped = now, 0, 0
	}
	if l.lines++; l.lines > maxLinesPerSecond {
		l.dropped++
		return
	}
	fmt.Fprintf(l.out, "[%s] %s\n", tag, text)
}

const (
	tailLines    = 20
	tailLineSize = 512
	logLineSize  = 16 << 10
)

// stderrTail forwards a child's stderr to the log and keeps the last lines for the exit report.
type stderrTail struct {
	mu     sync.Mutex
	lines  []string
	closed chan struct{}
}

func newStderrTail() *stderrTail { return &stderrTail{closed: make(chan struct{})} }

func (t *stderrTail) follow(r *os.File, tag string, log *logger) {
	defer close(t.closed)
	defer r.Close()
	reader := bufio.NewReaderSize(r, logLineSize)
	for {
		line, err := reader.ReadSlice('\n') // a longer line comes in pieces of the buffer's size
		if n := len(line); n > 0 {
			if line[n-1] == '\n' {
				line = line[:n-1]
			}
			log.line(tag, string(line))
			t.keep(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (t *stderrTail) keep(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, string(line[:min(len(line), tailLineSize)]))
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

// last waits a moment for what the dead child had written; a grandchild may hold the pipe open for ever.
func (t *stderrTail) last() []string {
	select {
	case <-t.closed:
	case <-time.After(50 * time.Millisecond):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
