package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxLine bounds one message of a session, in bytes: above the 10 MiB that the TypeScript SDK itself reads.
const maxLine = 16 << 20

// sessions are the attached processes by key. A process outlives its connection for --linger.
type sessions struct {
	mu    sync.Mutex
	byKey map[string]*session
}

// session pumps one process: its stdin from the connection attached now, its stdout to it.
type session struct {
	key   string
	p     *process
	stdin *os.File
	memo  string

	mu       sync.Mutex
	conn     *net.TCPConn  // nil while detached
	attached chan struct{} // closed when a connection arrives; a new one is made at detach
	reported chan struct{} // closed when the exit has been reported
	junk     uint64        // lines of stdout that are no JSON-RPC message
}

// control is what the gateway may say inside a session.
type control struct {
	Memo *string `json:"memo"`
	End  bool    `json:"end"`
}

func (s *server) attach(conn *net.TCPConn, g greeting) {
	sess, resumed, refused := s.sessionFor(g)
	if refused != nil {
		refuse(conn, *refused)
		return
	}
	current, _ := s.board.read()
	sess.mu.Lock()
	if sess.conn != nil { // the newest wins: the old one is a gateway that is gone or about to go
		_ = sess.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = sess.conn.Write(controlLine(refusal{Error: "takeover", Message: "another connection attached to this session"}))
		_ = sess.conn.Close()
	} else {
		close(sess.attached)
	}
	_, err := conn.Write(controlLine(accepted{Instance: current.Instance, Epoch: sess.p.epoch, Resumed: resumed, Memo: sess.memo}))
	sess.conn = conn
	sess.mu.Unlock()
	if err == nil && sess.pumpInput(conn) {
		sess.end(s.grace)
		<-sess.reported
	}
	s.detach(sess, conn)
}

func (s *server) sessionFor(g greeting) (*session, bool, *refusal) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if sess := s.sessions.byKey[g.Session]; sess != nil {
		return sess, true, nil
	}
	l, refused := s.prepare(tagOf(g))
	if refused != nil {
		return nil, false, refused
	}
	in, out, err := twoPipes()
	if err != nil {
		return nil, false, &refusal{Error: "start", Reason: "EMFILE", Message: err.Error()}
	}
	p, refused := s.start(l, in[0], out[1])
	_ = syscall.Close(in[0])
	_ = syscall.Close(out[1])
	if refused != nil {
		_ = syscall.Close(in[1])
		_ = syscall.Close(out[0])
		return nil, false, refused
	}
	sess := &session{key: g.Session, p: p, stdin: pollable(in[1], "stdin"),
		attached: make(chan struct{}), reported: make(chan struct{})}
	s.sessions.byKey[g.Session] = sess
	s.open.Add(1)
	go func() {
		defer s.open.Done()
		sess.pumpOutput(pollable(out[0], "stdout"))
		s.finish(sess)
	}()
	go s.endAtDeadline(sess)
	return sess, false, nil
}

func twoPipes() (in, out [2]int, err error) {
	if err = syscall.Pipe2(in[:], syscall.O_CLOEXEC); err != nil {
		return in, out, err
	}
	if err = syscall.Pipe2(out[:], syscall.O_CLOEXEC); err != nil {
		_ = syscall.Close(in[0])
		_ = syscall.Close(in[1])
	}
	return in, out, err
}

func (s *server) endAtDeadline(sess *session) {
	select {
	case <-s.deadline:
		sess.end(s.grace)
	case <-sess.p.done:
	}
}

// end closes the child's stdin and sees that it goes.
func (sess *session) end(grace time.Duration) {
	_ = sess.stdin.Close()
	sess.p.stop(grace)
}

// detach keeps the process for --linger.
func (s *server) detach(sess *session, conn *net.TCPConn) {
	_ = conn.Close()
	sess.mu.Lock()
	if sess.conn != conn { // taken over
		sess.mu.Unlock()
		return
	}
	sess.conn = nil
	sess.attached = make(chan struct{})
	attached := sess.attached
	sess.mu.Unlock()
	select {
	case <-attached:
	case <-sess.p.done:
	case <-time.After(s.linger):
		sess.end(s.grace)
	}
}

// finish reports the exit to whoever is attached and forgets the session.
func (s *server) finish(sess *session) {
	defer close(sess.reported)
	sess.p.stop(s.grace) // its stdout is closed: nothing more can come of it
	s.sessions.mu.Lock()
	delete(s.sessions.byKey, sess.key)
	s.sessions.mu.Unlock()
	_ = sess.stdin.Close()
	exit := sess.p.exit
	exit.Stderr = sess.p.tail.last()
	sess.mu.Lock()
	conn := sess.conn
	sess.mu.Unlock()
	if conn == nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(controlLine(exitNotice{exit}))
	_ = conn.CloseWrite()
}

// pumpInput carries whole lines from a connection to the child; control lines are the bridge's own. It returns when the
// connection ends (false) or the gateway releases the session (true).
func (sess *session) pumpInput(conn *net.TCPConn) (released bool) {
	lines := newLineReader(conn)
	for {
		line, err := lines.next()
		if err != nil {
			return false
		}
		if body, ok := bytes.CutPrefix(line, []byte(magic)); ok {
			if sess.obey(body) {
				return true
			}
			continue
		}
		if len(line) == 0 {
			continue
		}
		if _, err := sess.stdin.Write(append(line, '\n')); err != nil {
			return false
		}
	}
}

func (sess *session) obey(body []byte) (end bool) {
	var c control
	if json.Unmarshal(body, &c) != nil {
		return false // an instruction of a later version
	}
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if c.Memo != nil && len(*c.Memo) <= 4096 {
		sess.memo = *c.Memo
	}
	return c.End
}

// pumpOutput carries whole lines from the child to the connection attached at that time. A line that could not be written waits
// for the next connection, and so does the child, by back-pressure. Only lines that can be JSON-RPC messages pass: a server
// cannot forge a control line.
func (sess *session) pumpOutput(out *os.File) {
	defer out.Close()
	lines := newLineReader(out)
	for {
		line, err := lines.next()
		if err != nil {
			return
		}
		if len(line) == 0 || (line[0] != '{' && line[0] != '[') {
			sess.junk++
			continue
		}
		if !sess.deliver(append(line, '\n')) {
			return
		}
	}
}

func (sess *session) deliver(line []byte) bool {
	for {
		sess.mu.Lock()
		conn, attached := sess.conn, sess.attached
		sess.mu.Unlock()
		if conn != nil {
			if _, err := conn.Write(line); err == nil {
				return true
			}
			_ = conn.Close() // makes pumpInput return and detach
		}
		select {
		case <-attached:
			if conn != nil { // the broken connection has not been detached yet
				time.Sleep(time.Millisecond)
			}
		case <-sess.p.done:
			return false
		}
	}
}

var errLineTooLong = errors.New("line over 16 MiB")

// lineReader splits a stream into lines of at most maxLine bytes; a last line without a newline counts.
type lineReader struct {
	r    *bufio.Reader
	line []byte
}

type reader interface{ Read([]byte) (int, error) }

func newLineReader(r reader) *lineReader { return &lineReader{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the line without its newline, valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.line)+len(part) > maxLine {
			return nil, errLineTooLong
		}
		l.line = append(l.line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(l.line, "\r\n"), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case len(l.line) > 0:
			return l.line, nil
		default:
			return nil, err
		}
	}
}
