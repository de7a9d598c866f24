package main

import (
	"fmt"
	"io"
	"time"
)

const (
	logQueue = 1024 // lines that may wait while the log is not read
	logFlush = 500 * time.Millisecond

	// A server that floods stderr must not fill the node's disk. Each process has its own share, so that none can silence another.
	maxLinesPerSecond = 200
)

// logger writes whole lines to the container log. Logging never blocks a server: while the log is not read, lines are dropped.
type logger struct {
	lines chan string
	done  chan struct{}
}

func newLogger(out io.Writer) *logger {
	l := &logger{lines: make(chan string, logQueue), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			if line == "" {
				return
			}
			_, _ = io.WriteString(out, line)
		}
	}()
	return l
}

// flush writes what is queued, for logFlush at most; nothing is logged after it.
func (l *logger) flush() {
	select {
	case l.lines <- "":
		select {
		case <-l.done:
		case <-time.After(logFlush):
		}
	case <-time.After(logFlush):
	}
}

func (l *logger) printf(format string, args ...any) {
	l.put("[mcp-bridge] " + fmt.Sprintf(format, args...))
}

// line logs under a tag, as far as the limit allows.
func (l *logger) line(tag, text string, limit *lineLimit) {
	allowed, dropped := limit.allow(time.Now())
	if dropped > 0 {
		l.printf("%s: %d lines dropped: more than %d a second", tag, dropped, maxLinesPerSecond)
	}
	if allowed {
		l.put("[" + tag + "] " + text)
	}
}

// put queues a line without its end. Nothing in it controls the terminal that shows the log.
func (l *logger) put(line string) {
	select {
	case l.lines <- visible(line) + "\n":
	default: // the log is stuck: the servers are not
	}
}

// lineLimit is a process's share of the log in the present second.
type lineLimit struct {
	window  time.Time
	lines   int
	dropped int
}

// allow reports whether a line may be logged now, and how many were dropped in the second before.
func (l *lineLimit) allow(now time.Time) (allowed bool, dropped int) {
	if now.Sub(l.window) >= time.Second {
		dropped = l.dropped
		l.window, l.lines, l.dropped = now, 0, 0
	}
	l.lines++
	if l.lines > maxLinesPerSecond {
		l.dropped++
		return false, dropped
	}
	return true, dropped
}
