package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	inputWindow = 64 << 10 // input queued for a server that does not read; then its client waits
	maxMemo     = 4 << 10
	turnRounds  = 4
)

// session is a process that outlives its connections: what it writes is kept until a client has acknowledged it.
// Everything here runs on the loop's thread.
type session struct {
	s      *server
	key    string
	p      *process
	wrote  *atomic.Uint64
	stdin  *end // nil once closed
	stdout *end

	in       []byte // whole lines not yet written to the process
	received uint64 // lines of input taken from clients
	out      replayBuffer
	memo     string
	link     *link

	ending    bool        // the process is being ended
	exit      *exitReport // it has been reaped
	forgotten bool        // its key is free for another session: no connection can attach any more
	over      bool        // nothing is left
	linger    *time.Timer
	idle      *time.Timer
	queued    bool // has a turn coming
}

// link is the connection that is attached now.
type link struct {
	*end
	head      []byte // the control line that goes first
	tail      []byte // the control line that goes last
	lines     lineSplitter
	inputOver bool // the client has half-closed
	reported  bool // tail is out, and so is our FIN
}

// control is a client's control line inside a session.
type control struct {
	Ack  *uint64 `json:"ack"`
	Memo *string `json:"memo"`
	Idle *bool   `json:"idle"`
	End  bool    `json:"end"`
}

// begin starts watching a new process.
func (sess *session) begin() error {
	sess.out.onJunk = func(line []byte) { sess.s.junk(sess.p, line) }
	return sess.s.loop.add(sess.stdout.fd, eventsInput, func(events uint32) {
		sess.stdout.note(events)
		sess.turn()
	})
}

// attach makes fd the session's connection; the newest wins, because the older one is a gateway that is gone or about to go.
func (sess *session) attach(fd int, resumed bool) {
	if sess.link != nil {
		sess.s.counters.takeovers.Add(1)
		sess.leave(refusal{Error: "takeover", Message: "another connection attached to this session"})
	}
	stopTimer(&sess.linger)
	stopTimer(&sess.idle)
	sess.s.counters.replayed.Add(uint64(sess.out.rewind()))
	l := &link{end: newEnd(fd)}
	l.head = controlLine(accepted{
		Instance: sess.s.state.instance(), Epoch: sess.p.epoch, Resumed: resumed,
		Acked: &sess.out.acked, Received: &sess.received, Memo: sess.memo,
	})
	sess.link = l
	if err := sess.s.loop.add(fd, eventsData, func(events uint32) {
		l.note(events)
		sess.turn()
	}); err != nil {
		sess.unlink()
	}
	if sess.exit != nil { // its last lines are kept for a single further connection
		sess.wait()
	}
	sess.turn()
}

// turn moves what can be moved, turnRounds times at most; more is queued behind the other sessions.
func (sess *session) turn() {
	for range turnRounds {
		if sess.over || !sess.step() {
			return
		}
	}
	if !sess.queued {
		sess.queued = true
		sess.s.loop.again(func() {
			sess.queued = false
			sess.turn()
		})
	}
}

// step reports whether there is more to do at once.
func (sess *session) step() bool {
	sess.readClient()
	sess.feedProcess()
	sess.readProcess()
	sess.feedClient()
	sess.settle()
	return !sess.over && (sess.clientWaits() || sess.processWaits())
}

func (sess *session) clientWaits() bool {
	return sess.link != nil && sess.link.readable && !sess.link.inputOver && len(sess.in) < inputWindow
}

func (sess *session) processWaits() bool {
	return sess.stdout != nil && sess.stdout.readable && !sess.out.full()
}

func (sess *session) readClient() {
	if !sess.clientWaits() {
		return
	}
	l := sess.link
	n, err := l.read(sess.s.loop.scratch[:])
	if failure := l.lines.feed(sess.s.loop.scratch[:n], sess.take); failure != nil {
		sess.leave(refusal{Error: "line", Message: failure.Error()})
		return
	}
	if errors.Is(err, io.EOF) { // no more input; answers may still be wanted
		l.inputOver = true
		sess.wait()
	} else if err != nil {
		sess.unlink()
	}
}

// take handles a line from the client.
func (sess *session) take(line []byte) error {
	if bytes.HasPrefix(line, []byte(greetingPrefix)) {
		if body, supported := bytes.CutPrefix(line, []byte(magic)); supported {
			return sess.control(body)
		}
		return nil
	}
	if len(line) == 0 || sess.ending || sess.exit != nil {
		return nil
	}
	stopTimer(&sess.idle)
	sess.received++
	sess.s.counters.linesIn.Add(1)
	if sess.stdin != nil {
		sess.in = append(append(sess.in, line...), '\n')
	}
	return nil
}

func (sess *session) control(body []byte) error {
	var c control
	if json.Unmarshal(body, &c) != nil {
		return nil // of a later version
	}
	if c.Memo != nil {
		if len(*c.Memo) > maxMemo {
			return errors.New("a memo of over 4096 bytes")
		}
		sess.memo = *c.Memo
	}
	if c.Idle != nil {
		stopTimer(&sess.idle)
		if *c.Idle {
			sess.after(&sess.idle, sess.s.idleTimeout, func() { sess.expire("idle") })
		}
	}
	if c.End {
		sess.stop("released")
	}
	if c.Ack != nil {
		return sess.out.acknowledge(*c.Ack)
	}
	return nil
}

func (sess *session) feedProcess() {
	if sess.stdin == nil {
		return
	}
	if len(sess.in) > 0 && sess.stdin.writable {
		n, err := sess.stdin.write(sess.in)
		sess.in = sess.in[n:]
		if err != nil { // it has closed its stdin, which it may
			sess.in = nil
			sess.closeStdin()
			return
		}
		if len(sess.in) == 0 {
			sess.in = nil
		} else {
			sess.awaitRoom()
		}
	}
	if sess.ending && len(sess.in) == 0 {
		sess.closeStdin()
	}
}

// awaitRoom waits until the process reads again. Its stdin is not watched otherwise: the kernel would wake the bridge at each
// of its reads.
func (sess *session) awaitRoom() {
	stdin := sess.stdin
	err := sess.s.loop.add(stdin.fd, eventsRoom, func(uint32) {
		sess.s.loop.remove(stdin.fd)
		stdin.writable = true
		sess.turn()
	})
	if err != nil {
		sess.stop("start")
	}
}

func (sess *session) readProcess() {
	if sess.processWaits() {
		err := sess.readOutput()
		if err != nil {
			sess.out.finish()
			sess.closeStdout()
			sess.stop("") // no more output can come
			return
		}
	}
	if sess.exit != nil && sess.stdout != nil && !sess.stdout.readable { // an orphan of it holds the pipe
		sess.out.finish()
		sess.closeStdout()
	}
}

// readOutput takes what the process has written; the error is the end of it.
func (sess *session) readOutput() error {
	buffer, take := sess.out.room(), sess.out.grew
	if buffer == nil {
		buffer = sess.s.loop.scratch[:]
		take = func(n int) error { return sess.out.write(buffer[:n]) }
	}
	n, err := sess.stdout.read(buffer)
	if n == 0 {
		return err
	}
	sess.wrote.Add(uint64(n))
	before := sess.out.lines()
	failure := take(n)
	sess.s.counters.linesOut.Add(sess.out.lines() - before)
	if failure != nil {
		sess.s.log.printf("process %d wrote %v; it is ended", sess.p.pid, failure)
		sess.stop("line")
		sess.out.finish()
		sess.closeStdout()
	}
	return nil
}

func (sess *session) feedClient() {
	l := sess.link
	for l != nil && l.writable {
		data, sent := sess.nextForClient()
		if len(data) == 0 {
			return
		}
		n, err := l.write(data)
		if err != nil {
			sess.unlink()
			return
		}
		sent(n)
	}
}

// nextForClient is what goes out now, and what to do with the number of bytes that went.
func (sess *session) nextForClient() ([]byte, func(int)) {
	l := sess.link
	if len(l.head) > 0 {
		return l.head, func(n int) { l.head = l.head[n:] }
	}
	if data := sess.out.next(); len(data) > 0 {
		return data, sess.out.sent
	}
	return l.tail, func(n int) {
		if l.tail = l.tail[n:]; len(l.tail) == 0 {
			_ = unix.Shutdown(l.fd, unix.SHUT_WR)
			l.reported = true
		}
	}
}

// settle sends the exit report after everything that was written, and finishes a session of which nothing is left.
func (sess *session) settle() {
	if l := sess.link; l != nil && l.inputOver && (l.reported || l.broken) {
		sess.unlink()
	}
	if sess.exit == nil || sess.stdout != nil || sess.over {
		return
	}
	if l := sess.link; l != nil && l.tail == nil {
		l.tail = controlLine(exitNotice{*sess.exit})
		sess.feedClient()
	}
	if sess.link == nil && (sess.forgotten || !sess.out.unacknowledged()) {
		sess.finish()
	}
}
