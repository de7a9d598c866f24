package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"
)

// pump carries a raw or direct connection to a process that has pipes: for programs that need real pipes, and for warm processes.
func (s *server) pump(conn stream, g greeting) {
	s.pendingReports.Add(1)
	defer s.pendingReports.Add(-1)
	defer conn.Close()
	child, refused := s.startPiped(g.Tag)
	if refused != nil {
		s.turnAway(conn, g, *refused)
		return
	}
	if g.Mode != "raw" {
		_, _ = conn.Write(controlLine(accepted{Instance: s.state.instance()}))
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
		carryOutput(conn, &tapReader{stdout, child.wrote}, from)
	}()
	s.awaitEnd(child.p, from, func() { _ = stdin.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(lingerCloseTimeout))  // for a peer that does not read
	_ = stdout.SetReadDeadline(time.Now().Add(lingerCloseTimeout)) // for an orphan that holds the pipe
	<-outputOver
	if g.Mode != "raw" {
		_, _ = conn.Write(lastLine(exitNotice{child.p.exit}))
	}
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(lingerCloseTimeout))
	<-inputOver
}

func carryInput(stdin *os.File, conn stream, from *peer) {
	defer stdin.Close()
	if _, err := io.Copy(&sinkWriter{w: stdin}, conn); err != nil {
		from.lose()
	}
	from.finish()
}

func carryOutput(conn stream, stdout *tapReader, from *peer) {
	defer stdout.Close()
	if _, err := io.Copy(conn, stdout); err != nil && !os.IsTimeout(err) {
		from.lose()
	}
}

// tapReader records that the process has written something.
type tapReader struct {
	*os.File
	wrote *atomic.Uint64
}

func (l *tapReader) Read(b []byte) (int, error) {
	n, err := l.File.Read(b)
	if n > 0 {
		l.wrote.Add(uint64(n))
	}
	return n, err
}

// WriteTo hides the file's own, which would not pass through Read.
func (l *tapReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{l})
}

// sinkWriter discards what a process no longer reads: its client may still wait for an answer.
type sinkWriter struct {
	w      io.Writer
	closed bool
}

func (p *sinkWriter) Write(b []byte) (int, error) {
	if !p.closed {
		_, err := p.w.Write(b)
		p.closed = err != nil
	}
	return len(b), nil
}
