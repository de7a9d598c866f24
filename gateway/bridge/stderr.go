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
	tailLines    = 20
	tailLineSize = 512
	logLineSize  = 8 << 10
	tailWait     = 20 * time.Millisecond
)

// stderrTail forwards a child's stderr to the log and keeps the last lines for the exit report.
type stderrTail struct {
	mu     sync.Mutex
	tag    string
	lines  []string
	closed chan struct{}
	part   []byte    // a line that is not complete yet; only follow touches it
	limit  lineLimit // of stderr: follow's
	junk   lineLimit // of stdout: the loop's
}

func newStderrTail(tag string) *stderrTail { return &stderrTail{tag: tag, closed: make(chan struct{})} }

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
	line = bytes.TrimSuffix(line, []byte{'\r'})
	log.line(t.label(pid), string(line), &t.limit)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, visible(string(line[:min(len(line), tailLineSize)])))
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

// last waits tailWait at most for what the dead child had written; an orphan of it may hold the pipe open.
func (t *stderrTail) last() []string {
	select {
	case <-t.closed:
	case <-time.After(tailWait):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
