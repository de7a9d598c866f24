package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// server owns the listener, the children and what is known about them.
type server struct {
	options
	log      *logger
	board    *board
	nursery  *nursery
	hangups  *hangups
	sessions sessions
	draining chan struct{} // closed at SIGTERM
	deadline chan struct{} // closed when draining has taken long enough
	open     sync.WaitGroup
}

const (
	firstByteTimeout   = 10 * time.Second
	referencesInterval = 2 * time.Second
	keepAliveInterval  = 10 * time.Second
)

func serve(o options) int {
	log := newLogger(os.Stderr)
	hangups, err := newHangups()
	if err != nil {
		log.printf("epoll: %v", err)
		return 1
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		log.printf("cannot listen on %s: %v", o.listen, err)
		return 1
	}
	s := &server{
		options: o, log: log, board: newBoard(), nursery: newNursery(log), hangups: hangups,
		sessions: sessions{byKey: map[string]*session{}},
		draining: make(chan struct{}), deadline: make(chan struct{}),
	}
	s.checkReferences()
	if o.health != "" {
		if err := s.serveHealth(o.health); err != nil {
			log.printf("cannot listen on %s: %v", o.health, err)
			return 1
		}
	}
	log.printf("%s (%s) on %s for %v", version, commit, listener.Addr(), o.command)
	stops := stopSignals()
	go s.pollReferences()
	go s.accept(listener)
	<-stops
	s.drain(stops)
	_ = listener.Close()
	return 0
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: give some time to return instead of spinning
			s.log.printf("accept: %v", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		s.open.Add(1)
		go func() {
			defer s.open.Done()
			s.handle(conn.(*net.TCPConn))
		}()
	}
}

func (s *server) handle(conn *net.TCPConn) {
	if s.startAtOnce {
		s.handOver(conn, greeting{Mode: "raw"})
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	kind, line, err := firstLine(conn)
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if kind == raw {
		s.handOver(conn, greeting{Mode: "raw"})
		return
	}
	g, err := parseGreeting(line)
	if err != nil {
		refuse(conn, refusal{Error: "greeting", Message: err.Error()})
		return
	}
	switch g.Mode {
	case "direct":
		s.handOver(conn, g)
	case "attach":
		s.attach(conn, g)
	case "watch":
		s.serveWatch(conn)
	}
}

func refuse(conn *net.TCPConn, r refusal) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(controlLine(r))
	_ = conn.CloseWrite()
	discard(conn)
}

// firstLine tells raw from greeted by peeking, so that a raw client's bytes stay for the child; a greeting is consumed.
func firstLine(conn *net.TCPConn) (verdict, []byte, error) {
	buffer := make([]byte, maxGreeting)
	for seen := 0; ; {
		n, err := peek(conn, buffer, seen)
		if err != nil {
			return undecided, nil, err
		}
		first := buffer[:n]
		kind := classify(first)
		if kind == raw {
			return raw, nil, nil
		}
		if end := slices.Index(first, '\n'); end >= 0 {
			_, err := conn.Read(buffer[:end+1])
			return greeted, buffer[:end], err
		}
		if n == len(buffer) {
			return undecided, nil, fmt.Errorf("greeting over %d bytes", maxGreeting)
		}
		seen = n
	}
}

// peek waits until more than seen bytes are there, and looks at them.
func peek(conn *net.TCPConn, buffer []byte, seen int) (int, error) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var failure error
	err = rc.Read(func(fd uintptr) bool {
		n, _, failure = syscall.Recvfrom(int(fd), buffer, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if failure == syscall.EAGAIN || failure == syscall.EINTR {
			return false
		}
		return failure != nil || n == 0 || n > seen
	})
	if err != nil {
		return 0, err
	}
	if failure == nil && n <= seen {
		failure = errors.New("closed before its first line was complete")
	}
	return n, failure
}

// environment builds the child's variables, or says which references are missing.
func (s *server) environment() (*environment, *refusal) {
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	if len(env.missing) > 0 {
		return nil, &refusal{Error: "references", Reason: "MissingReference", Message: fmt.Sprintf("missing: %v", env.missing)}
	}
	return env, nil
}

// launch is a child that could start: what it needs is there and there is room for it.
type launch struct {
	argv, env []string
	tag       string
}

func (s *server) prepare(tag string) (*launch, *refusal) {
	select {
	case <-s.draining:
		return nil, &refusal{Error: "draining", Message: "this bridge is shutting down"}
	default:
	}
	if n := s.nursery.count(); n >= s.maxProcesses {
		return nil, &refusal{Error: "capacity", Message: fmt.Sprintf("%d processes run already, the most that --max-processes allows", n)}
	}
	env, missing := s.environment()
	if missing != nil {
		return nil, missing
	}
	argv := make([]string, len(s.command))
	for i, arg := range s.command {
		argv[i] = expand(arg, env.values)
	}
	if _, err := lookPath(argv[0], env.list()); err != nil {
		return nil, s.startFailed(err)
	}
	return &launch{argv: argv, env: env.list(), tag: tag}, nil
}

// start runs a prepared child with the given stdin and stdout; the descriptors stay the caller's.
func (s *server) start(l *launch, stdin, stdout int) (*process, *refusal) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return nil, &refusal{Error: "start", Reason: "EMFILE", Message: err.Error()}
	}
	tail := newStderrTail()
	p, err := s.nursery.start(l.argv, l.env, stdin, stdout, pipe[1], tail)
	_ = syscall.Close(pipe[1])
	if err != nil {
		_ = syscall.Close(pipe[0])
		return nil, s.startFailed(err)
	}
	go tail.follow(pollable(pipe[0], "stderr"), fmt.Sprintf("%s %d", l.tag, p.pid), s.log)
	s.board.update(func(st *state) {
		st.Failure = nil
		st.Started++
		st.Processes = s.nursery.count()
	})
	go s.announceExit(p)
	return p, nil
}

// startFailed logs a failure once, not at each attempt.
func (s *server) startFailed(err error) *refusal {
	r := &refusal{Error: "start", Reason: "unknown", Message: err.Error()}
	var failure *startFailure
	if errors.As(err, &failure) {
		r.Reason = failure.reason
	}
	before, _ := s.board.read()
	if before.Failure == nil || *before.Failure != *r {
		s.log.printf("cannot start: %s: %s", r.Reason, r.Message)
	}
	s.board.update(func(st *state) { st.Failure = r })
	return r
}

func (s *server) announceExit(p *process) {
	<-p.done
	exit := p.exit
	exit.Stderr = p.tail.last()
	s.board.update(func(st *state) {
		st.Exited++
		st.Processes = s.nursery.count()
		st.LastExit = &exit
	})
}

// checkReferences finds out whether the command could start now, without starting it.
func (s *server) checkReferences() {
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	_, err := lookPath(expand(s.command[0], env.values), env.list())
	digest := s.board.digest(env)
	before, _ := s.board.read()
	var failure *refusal
	if err != nil {
		r := refusal{Error: "start", Reason: "ENOENT", Message: err.Error()}
		var known *startFailure
		if errors.As(err, &known) {
			r.Reason = known.reason
		}
		failure = &r
	} else if before.Failure != nil && before.References == digest {
		failure = before.Failure // found by a real start: only a change of the environment or a good start clears it
	}
	same := (failure == nil) == (before.Failure == nil) && (failure == nil || *failure == *before.Failure)
	if same && before.References == digest && slices.Equal(before.Missing, env.missing) {
		return
	}
	if len(env.missing) > 0 {
		s.log.printf("missing references: %v", env.missing)
	}
	if failure != nil && !same {
		s.log.printf("cannot start: %s: %s", failure.Reason, failure.Message)
	}
	s.board.update(func(st *state) {
		st.References, st.Failure = digest, failure
		st.Missing = append([]string{}, env.missing...)
	})
}

func (s *server) pollReferences() {
	for range time.Tick(referencesInterval) {
		s.checkReferences()
	}
}

func (s *server) serveWatch(conn *net.TCPConn) {
	defer conn.Close()
	s.board.watch(1)
	defer s.board.watch(-1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		discardAll(conn)
	}()
	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	for {
		current, changed := s.board.read()
		_ = conn.SetWriteDeadline(time.Now().Add(keepAliveInterval))
		if _, err := conn.Write(controlLine(current)); err != nil {
			return
		}
		select {
		case <-changed:
		case <-keepAlive.C:
		case <-gone:
			return
		}
	}
}

// drain lets the gateway decide: while it watches, processes live until it lets go of their connections or the deadline comes.
func (s *server) drain(stops <-chan os.Signal) {
	s.board.update(func(st *state) { st.Draining = true })
	close(s.draining)
	wait := s.drainTimeout
	if !s.board.watched() {
		wait = 0
	}
	deadline := time.After(wait)
	forced := false
	for s.nursery.count() > 0 {
		_, changed := s.board.read()
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond): // the last exit may have been announced before the read
		case <-deadline:
			close(s.deadline)
			deadline = nil
		case <-stops:
			forced = true
			for _, p := range s.nursery.all() {
				p.signalGroup(syscall.SIGKILL)
			}
		}
	}
	if !forced {
		finished := make(chan struct{})
		go func() { s.open.Wait(); close(finished) }()
		select { // let the exit notices out
		case <-finished:
		case <-time.After(200 * time.Millisecond):
		}
	}
}
