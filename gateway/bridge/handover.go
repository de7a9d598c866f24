package main

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// handOver gives the socket itself to a new child as its stdin and stdout. From then on the bridge copies nothing: it waits for
// the child's end or the peer's hang-up.
func (s *server) handOver(conn *net.TCPConn, g greeting) {
	tell := func(fd int, v any) {
		if g.Mode != "raw" { // a raw client expects nothing but the child's own bytes
			sendNow(fd, v)
		}
	}
	fd, err := takeDescriptor(conn)
	if err != nil {
		s.log.printf("hand-over: %v", err)
		return
	}
	defer farewell(fd)
	hungUp, err := s.hangups.add(fd)
	if err != nil {
		s.log.printf("hand-over: %v", err)
		return
	}
	defer s.hangups.remove(fd)
	l, refused := s.prepare(tagOf(g))
	if refused != nil {
		tell(fd, refused)
		return
	}
	current, _ := s.board.read()
	tell(fd, accepted{Instance: current.Instance}) // before the child can write
	p, refused := s.start(l, fd, fd)
	if refused != nil {
		tell(fd, refused)
		return
	}
	s.awaitEnd(p, fd, hungUp)
	exit := p.exit
	exit.Stderr = p.tail.last()
	tell(fd, exitNotice{exit})
}

// awaitEnd returns when the child has been reaped. A peer that hung up has sent its last input, and the child, which sees the end
// of its stdin, is given time to answer; so it is when the bridge itself must end.
func (s *server) awaitEnd(p *process, fd int, hungUp <-chan struct{}) {
	select {
	case <-p.done:
		return
	case <-hungUp:
	case <-s.deadline:
		_ = syscall.Shutdown(fd, syscall.SHUT_RD) // the child reads the end of its input
	}
	p.stop(s.grace)
}

func tagOf(g greeting) string {
	if g.Tag == "" {
		return g.Mode
	}
	return g.Tag[:min(len(g.Tag), 32)]
}

// takeDescriptor detaches a connection from the runtime's poller and makes it a blocking descriptor, as programs expect of their
// stdin and stdout. The connection is closed in any case; the peer does not notice while the descriptor is open.
func takeDescriptor(conn *net.TCPConn) (int, error) {
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

// sendNow writes one control line without ever waiting for a peer that does not read. It begins with an empty line, which is no
// message: a dead child may have left half a line behind.
func sendNow(fd int, v any) {
	line := append([]byte("\n"), controlLine(v)...)
	if _, ok := v.(accepted); ok {
		line = line[1:]
	}
	_, _ = syscall.SendmsgN(fd, line, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

// farewell closes a descriptor in the order that lets the peer read everything: FIN, then read what it still sends, then close.
// A close with unread input would be a reset, which may overtake the last line.
func farewell(fd int) {
	_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	file := pollable(fd, "peer")
	defer file.Close()
	_ = file.SetReadDeadline(time.Now().Add(lingerClose))
	_, _ = io.Copy(io.Discard, file)
}

const lingerClose = 500 * time.Millisecond

// discard reads what the peer still sends for a moment, then closes.
func discard(conn *net.TCPConn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(lingerClose))
	discardAll(conn)
}

func discardAll(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// pollable wraps a descriptor for the runtime's poller, so that no thread is spent on waiting for it.
func pollable(fd int, name string) *os.File {
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}
