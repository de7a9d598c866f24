package main

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	headLines    = 20
	tailLines    = 20
	junkLines    = 20
	tailLineSize = 512
	logLineSize  = 8 << 10
	tailWait     = 20 * time.Millisecond
	recentFor    = 2 * time.Second // before the end; an older line of a process that had answered may be about another request
)

// stderrTail forwards a child's stderr to the log and keeps what the exit report needs to name a cause: programs say it first, before
// pages of usage, or last, and some say it on stdout.
type stderrTail struct {
	mu      sync.Mutex
	tag     string
	head    []string      // the first lines
	lines   []keptLine    // the last lines after those
	omitted int           // lines between the two
	stdout  []string      // the first lines of stdout that are no messages
	written func() uint64 // how much the child has written to stdout, as far as the bridge can see
	closed  chan struct{}
	part    []byte    // a line that is not complete yet; only follow touches it
	limit   lineLimit // of stderr: follow's
	junk    lineLimit // of stdout: the loop's
}

// keptLine is a line, when it was read, and how much had been written to stdout by then.
type keptLine struct {
	text    string
	written uint64
	read    time.Time
}

func newStderrTail(tag string, written func() uint64) *stderrTail {
	return &stderrTail{tag: tag, written: written, closed: make(chan struct{})}
}

// rename is for a warm process that has been taken.
func (t *stderrTail) rename(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tag = tag
}

func (t *stderrTail) label(pid int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%s %d", t.tag, pid)
}

var stderrBuffers = sync.Pool{New: func() any { b := make([]byte, logLineSize); return &b }}

// follow reads until the end. Hundreds of silent processes must cost nothing, so a buffer is taken only when there is
// something to read.
func (t *stderrTail) follow(r *os.File, pid int, log *logger) {
	defer close(t.closed)
	defer r.Close()
	rc, err := r.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Read(func(fd uintptr) bool {
		buffer := stderrBuffers.Get().(*[]byte)
		defer stderrBuffers.Put(buffer)
		for {
			n, err := retry(func() (int, error) { return unix.Read(int(fd), *buffer) })
			if err == unix.EAGAIN {
				return false
			}
			if err != nil || n == 0 {
				return true
			}
			t.take((*buffer)[:n], pid, log)
		}
	})
	if len(t.part) > 0 {
		t.keep(t.part, pid, log)
	}
}

func (t *stderrTail) take(data []byte, pid int, log *logger) {
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			break
		}
		t.keep(append(t.part, data[:end]...), pid, log)
		t.part = nil
		data = data[end+1:]
	}
	t.part = append(t.part, data...)
	if len(t.part) >= logLineSize { // a longer line comes in pieces
		t.keep(t.part, pid, log)
		t.part = nil
	}
}

func (t *stderrTail) keep(line []byte, pid int, log *logger) {
	written := t.written() // at once: what is written after the line must not count
	line = bytes.TrimSuffix(line, []byte{'\r'})
	log.line(t.label(pid), string(line), &t.limit)
	t.mu.Lock()
	defer t.mu.Unlock()
	text := shortLine(line)
	if len(t.head) < headLines {
		t.head = append(t.head, text)
	}
	t.lines = append(t.lines, keptLine{text, written, time.Now()})
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
		t.omitted++
	}
}

func shortLine(line []byte) string { return visible(string(line[:min(len(line), tailLineSize)])) }

// keepJunk keeps a line of stdout that is no message.
func (t *stderrTail) keepJunk(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.stdout) < junkLines {
		t.stdout = append(t.stdout, shortLine(line))
	}
}

// last is the latest line on stderr; empty if there is none.
func (t *stderrTail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return ""
	}
	return t.lines[len(t.lines)-1].text
}

// report completes an exit report with what the dead child had written. It waits tailWait at most for the end of that: an orphan of
// the child may hold the pipe open.
func (t *stderrTail) report(exit *exitReport) {
	select {
	case <-t.closed:
	case <-time.After(tailWait):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	written := t.written()
	for _, line := range t.lines {
		exit.Stderr = append(exit.Stderr, line.text)
		if exit.Recent++; line.written != written || time.Since(line.read) > recentFor {
			exit.Recent = 0
		}
	}
	// The lines that were dropped from the tail are those at the front: of these the head has the first.
	exit.Head = append(exit.Head, t.head[:min(len(t.head), t.omitted)]...)
	exit.Omitted = t.omitted - len(exit.Head)
	exit.Stdout = append(exit.Stdout, t.stdout...)
}
