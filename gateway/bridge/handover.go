package main

import (
	"encoding/binary"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// handOver gives the socket itself to a new child as its stdin and stdout. From then on the bridge copies nothing: it waits for
// the child's end or the peer's.
func (s *server) handOver(conn stream, g greeting) {
	fd, err := takeDescriptor(conn)
	if err != nil {
		s.log.printf("hand-over: %v", err)
		return
	}
	defer farewell(fd)
	s.telling.Add(1)
	defer s.telling.Add(-1)
	tell := func(line []byte) {
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
		tell(lastLine(s.refused(*refused)))
		return
	}
	tell(controlLine(accepted{Instance: s.board.instance()})) // before the child can write
	before := bytesSent(fd)
	l.spoke = func() bool { return bytesSent(fd) != before || peer.hasFinished() }
	p, refused := s.start(l, fd, fd)
	if refused != nil {
		tell(lastLine(s.refused(*refused)))
		return
	}
	s.awaitEnd(p, peer, func() { _ = syscall.Shutdown(fd, syscall.SHUT_RD) })
	tell(lastLine(exitNotice{p.exit}))
}

// peer is the other side of a connection, as far as its end goes.
type peer struct {
	finished chan struct{} // closed at its FIN: it has sent its last input, and may still read
	gone     chan struct{} // closed when it can read no more
	once     [2]sync.Once
}

func newPeer() *peer { return &peer{finished: make(chan struct{}), gone: make(chan struct{})} }

// hasFinished is true of a client that left before its process: how that ends then says nothing about how it starts.
func (p *peer) hasFinished() bool { return isClosed(p.finished) }

func (p *peer) finish() { p.once[0].Do(func() { close(p.finished) }) }

func (p *peer) lose() {
	p.finish()
	p.once[1].Do(func() { close(p.gone) })
}

// watchPeer learns of the peer's end without waking for its messages.
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
// the answer: the child has --linger to give it, as a session has. One that is gone, or a bridge that must end, closes the input.
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
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			failure = errno
			return
		}
		duplicate = int(r)
		failure = syscall.SetNonblock(duplicate, false)
	})
	if err == nil {
		err = failure
	}
	return duplicate, err
}

// lastLine begins with an empty line, which is no message: a dead child may have left half a line behind.
func lastLine(v any) []byte { return append([]byte("\n"), controlLine(v)...) }

// sendNow writes one line without ever waiting for a peer that does not read.
func sendNow(fd int, line []byte) {
	_, _ = syscall.SendmsgN(fd, line, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

// farewell closes a descriptor in the order that lets the peer read everything: FIN, then read what it still sends, then close.
// A close with unread input would be a reset, which may overtake the last line.
func farewell(fd int) {
	_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	file := pollable(fd, "peer")
	defer file.Close()
	_ = file.SetReadDeadline(time.Now().Add(lingerClose))
	discardAll(file)
}

const lingerClose = 500 * time.Millisecond

// refuse says why and closes in that same order.
func refuse(conn stream, r refusal) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(lingerClose))
	_, _ = conn.Write(controlLine(r))
	_ = conn.CloseWrite()
	discardAll(conn)
}

func discardAll(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// pollable wraps a descriptor for the runtime's poller, so that no thread is spent on waiting for it.
func pollable(fd int, name string) *os.File {
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

const (
	tcpInfoSize      = 232
	tcpInfoBytesSent = 200 // offset of tcpi_bytes_sent in struct tcp_info: uapi/linux/tcp.h, since 4.19
)

// bytesSent asks the kernel what a process has written to a socket that the bridge itself does not see; a number that never comes
// twice where it cannot tell, as on a socket pair.
func bytesSent(fd int) uint64 {
	var info [tcpInfoSize]byte
	size := uint32(len(info))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < tcpInfoBytesSent+8 {
		return unknownBytes.Add(1)
	}
	return binary.NativeEndian.Uint64(info[tcpInfoBytesSent:])
}

var unknownBytes atomic.Uint64
