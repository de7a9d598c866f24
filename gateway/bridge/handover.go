package main

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// handOver gives the socket itself to a new child as its stdin and stdout. From then on the bridge copies nothing: it waits for
// the child's end or the peer's.
func (s *server) handOver(conn stream, g greeting) {
	fd, err := takeDescriptor(conn)
	if err != nil {
		s.log.printf("hand-over: %v", err)
		return
	}
	defer lingerClose(fd)
	s.pendingReports.Add(1)
	defer s.pendingReports.Add(-1)
	send := func(line []byte) {
		if g.Mode != "raw" { // a raw client expects nothing but the child's own bytes
			sendNow(fd, line)
		}
	}
	peer, err := s.watchPeer(fd)
	if err != nil {
		s.log.printf("hand-over: %v", err)
		return
	}
	defer s.loop.remove(fd)
	l, refused := s.prepare(g.Tag)
	if refused != nil {
		send(lastLine(s.refused(*refused)))
		return
	}
	send(controlLine(accepted{Instance: s.state.instance()})) // before the child can write
	before := bytesSent(fd)
	l.written = func() uint64 { return bytesSent(fd) }
	l.wrote = func() bool { return bytesSent(fd) != before || peer.hasFinished() }
	p, refused := s.start(l, fd, fd)
	if refused != nil {
		send(lastLine(s.refused(*refused)))
		return
	}
	go s.watchStart(p, l.wrote)
	s.awaitEnd(p, peer, func() { _ = unix.Shutdown(fd, unix.SHUT_RD) })
	send(lastLine(exitNotice{p.exit}))
}

// peer is the other side of a connection, as far as its end goes.
type peer struct {
	finished chan struct{} // closed at its FIN: it has sent its last input, and may still read
	gone     chan struct{} // closed when it can read no more
	once     [2]sync.Once
}

func newPeer() *peer { return &peer{finished: make(chan struct{}), gone: make(chan struct{})} }

// hasFinished reports a client that left before its process: that process's exit code is then no sign of a crash at start.
func (p *peer) hasFinished() bool { return isClosed(p.finished) }

func (p *peer) finish() { p.once[0].Do(func() { close(p.finished) }) }

func (p *peer) lose() {
	p.finish()
	p.once[1].Do(func() { close(p.gone) })
}

// watchPeer waits for the peer's end without a wake-up for each message.
func (s *server) watchPeer(fd int) (*peer, error) {
	p := newPeer()
	return p, s.loop.add(fd, eventsHangup, func(events uint32) {
		p.finish()
		if events&eventsBroken != 0 {
			p.lose()
		}
	})
}

// awaitEnd returns when the child has been reaped and its report is complete. A peer that has sent its last input may wait for
// the answer: the child has --linger to give it, as a session has. A peer that is gone, or the drain deadline, closes the input.
func (s *server) awaitEnd(p *process, from *peer, closeInput func()) {
	select {
	case <-p.done:
	case <-from.finished:
		select {
		case <-p.done:
		case <-time.After(s.linger):
		case <-from.gone:
		case <-s.deadline:
		}
		p.stop(s.grace, "hangup")
	case <-s.deadline:
		p.blame("drain") // before it can end by itself
		closeInput()
		p.stop(s.grace, "drain")
	}
	<-p.over
}

// takeDescriptor detaches a connection from the runtime's poller and makes it a blocking descriptor, as programs expect of their
// stdin and stdout. The connection is closed in any case; the peer does not notice while the descriptor is open.
func takeDescriptor(conn stream) (int, error) {
	defer conn.Close()
	rc, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	duplicate := -1
	var failure error
	err = rc.Control(func(fd uintptr) {
		if duplicate, failure = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failure == nil {
			failure = unix.SetNonblock(duplicate, false)
		}
	})
	if err == nil {
		err = failure
	}
	return duplicate, err
}

// lastLine begins with an empty line, which is no message: a dead child may have left half a line behind.
func lastLine(v any) []byte { return append([]byte("\n"), controlLine(v)...) }

// sendNow writes a line and never waits for a peer that does not read.
func sendNow(fd int, line []byte) {
	_, _ = unix.SendmsgN(fd, line, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// lingerClose closes a descriptor in the order that lets the peer read everything: FIN, then read what it still sends, then close.
// A close with unread input would be a reset, which may overtake the last line.
func lingerClose(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_WR)
	file := pollable(fd, "peer")
	defer file.Close()
	_ = file.SetReadDeadline(time.Now().Add(lingerCloseTimeout))
	discardAll(file)
}

const lingerCloseTimeout = 500 * time.Millisecond

// refuse sends the reason and closes in that same order.
func refuse(conn stream, r refusal) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(lingerCloseTimeout))
	_, _ = conn.Write(controlLine(r))
	_ = conn.CloseWrite()
	discardAll(conn)
}

func discardAll(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// pollable wraps a descriptor for the runtime's poller, so that no thread is spent on waiting for it.
func pollable(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

// bytesSent asks the kernel what a process has written to a socket that the bridge itself does not see (tcp_info.tcpi_bytes_sent,
// Linux 4.19 and newer); where the kernel cannot tell, as on a socket pair, a number that is different each time.
func bytesSent(fd int) uint64 {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return unknownBytes.Add(1)
	}
	return info.Bytes_sent
}

var unknownBytes atomic.Uint64
