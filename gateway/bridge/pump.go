package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"
)

// pump carries a raw or direct connection to a process that has pipes: for programs that need real ones, and for warm ones.
func (s *server) pump(conn stream, g greeting) {
	s.telling.Add(1)
	defer s.telling.Add(-1)
	defer conn.Close()
	child, refused := s.startPiped(g.Tag)
	if refused != nil {
		s.turnAway(conn, g, *refused)
		return
	}
	if g.Mode != "raw" {
		_, _ = conn.Write(controlLine(accepted{Instance: s.board.instance()}))
	}
	stdin, stdout := pollable(child.stdin, "stdin"), pollable(child.stdout, "stdout")
	from := newPeer()
	inputOver, outputOver := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(inputOver)
		carryInput(stdin, conn, from)
	}()
	go func() {
		defer close(outputOver)
		carryOutput(conn, &listener{stdout, child.spoke}, from)
	}()
	s.awaitEnd(child.p, from, func() { _ = stdin.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(lingerClose))  // for a peer that does not read
	_ = stdout.SetReadDeadline(time.Now().Add(lingerClose)) // for an orphan that holds the pipe
	<-outputOver
	if g.Mode != "raw" {
		_, _ = conn.Write(lastLine(exitNotice{child.p.exit}))
	}
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(lingerClose))
	<-inputOver
}

func carryInput(stdin *os.File, conn stream, from *peer) {
	defer stdin.Close()
	if _, err := io.Copy(&patient{w: stdin}, conn); err != nil {
		from.lose()
	}
	from.finish()
}

func carryOutput(conn stream, stdout *listener, from *peer) {
	defer stdout.Close()
	if _, err := io.Copy(conn, stdout); err != nil && !os.IsTimeout(err) {
		from.lose()
	}
}

// listener notes that something was written.
type listener struct {
	*os.File
	heard *atomic.Bool
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.File.Read(b)
	if n > 0 {
		l.heard.Store(true)
	}
	return n, err
}

// WriteTo hides the file's own, which would not pass through Read.
func (l *listener) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{l})
}

// patient swallows what a process no longer reads: its client may still wait for an answer.
type patient struct {
	w    io.Writer
	deaf bool
}

func (p *patient) Write(b []byte) (int, error) {
	if !p.deaf {
		_, err := p.w.Write(b)
		p.deaf = err != nil
	}
	return len(b), nil
}
