package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// launch is a child that could start: what it needs is there and there is room for it.
type launch struct {
	path      string
	argv, env []string
	tag       string
	wrote     func() bool   // reports whether it has written anything
	written   func() uint64 // how much it has written to stdout
}

// piped is a process whose stdin and stdout are pipes, and the bridge's ends of them.
type piped struct {
	p             *process
	stdin, stdout int
	wrote         *atomic.Uint64 // bytes, counted by the reader of stdout
}

func (s *server) prepare(tag string) (*launch, *refusal) {
	if s.isDraining() {
		return nil, &refusal{Error: "draining", Message: "this bridge is shutting down"}
	}
	if s.reaper.count() >= s.maxProcesses {
		return nil, s.tooMany()
	}
	if refused := s.memoryShort(); refused != nil {
		return nil, refused
	}
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	if len(env.missing) > 0 {
		return nil, &refusal{Error: "references", Reason: "MissingReference", Message: fmt.Sprintf("missing: %v", env.missing)}
	}
	argv := make([]string, len(s.command))
	for i, arg := range s.command {
		argv[i] = expand(arg, env.values)
	}
	path, err := lookPath(argv[0], env.list())
	if err != nil {
		return nil, s.startFailed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused := s.breaker.allow(time.Now()); refused != nil {
		return nil, refused
	}
	return &launch{path: path, argv: argv, env: env.list(), tag: tag}, nil
}

func (s *server) isDraining() bool { return isClosed(s.draining) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *server) tooMany() *refusal {
	return &refusal{Error: "capacity", Reason: "MaxProcesses",
		Message: fmt.Sprintf("%d processes are running, the maximum of --max-processes", s.maxProcesses)}
}

// start runs a prepared child with the given stdin and stdout; the descriptors stay the caller's.
func (s *server) start(l *launch, stdin, stdout int) (*process, *refusal) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, noDescriptors(err)
	}
	tail := newStderrTail(l.tag, l.written)
	p, err := s.reaper.start(l, stdin, stdout, pipe[1], tail)
	_ = unix.Close(pipe[1])
	if err != nil {
		_ = unix.Close(pipe[0])
		if errors.Is(err, errTooMany) {
			return nil, s.tooMany()
		}
		return nil, s.startFailed(err)
	}
	go tail.follow(pollable(pipe[0], "stderr"), p.pid, s.log)
	s.state.update(func(st *state) {
		st.Failure = nil
		st.Started++
		st.Processes = s.reaper.count()
	})
	p.whenOver(func(exit exitReport) { s.ended(p, exit) })
	return p, nil
}

// startPiped takes a warm process, or starts a new process.
func (s *server) startPiped(tag string) (*piped, *refusal) {
	if warm := s.warmPool.take(tag); warm != nil {
		return warm, nil
	}
	l, refused := s.prepare(tag)
	if refused != nil {
		return nil, refused
	}
	return s.startWithPipes(l)
}

func (s *server) startWithPipes(l *launch) (*piped, *refusal) {
	in, out, err := twoPipes()
	if err != nil {
		return nil, noDescriptors(err)
	}
	wrote := &atomic.Uint64{}
	l.wrote = func() bool { return wrote.Load() > 0 }
	l.written = wrote.Load
	p, refused := s.start(l, in[0], out[1])
	_ = unix.Close(in[0])
	_ = unix.Close(out[1])
	if refused != nil {
		_ = unix.Close(in[1])
		_ = unix.Close(out[0])
		return nil, refused
	}
	return &piped{p: p, stdin: in[1], stdout: out[0], wrote: wrote}, nil
}

func twoPipes() (in, out [2]int, err error) {
	if err = unix.Pipe2(in[:], unix.O_CLOEXEC); err != nil {
		return in, out, err
	}
	if err = unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		_ = unix.Close(in[0])
		_ = unix.Close(in[1])
	}
	return in, out, err
}

func noDescriptors(err error) *refusal {
	return &refusal{Error: "start", Reason: "EMFILE", Message: err.Error()}
}

// startFailed logs a failure once, not at each attempt.
func (s *server) startFailed(err error) *refusal {
	r := startRefusal(err)
	logged := false
	s.state.update(func(st *state) { logged, st.Failure = st.Failure.same(r), r })
	if !logged {
		s.log.printf("cannot start: %s: %s", r.Reason, r.Message)
	}
	return r
}

func startRefusal(err error) *refusal {
	r := &refusal{Error: "start", Reason: "unknown", Message: err.Error(), Exit: &exitReport{Code: exitCannotExecute}}
	var failure *startFailure
	if errors.As(err, &failure) {
		r.Reason, r.Exit.Code = failure.reason, failure.code
	}
	return r
}

// ended is called once for each process.
func (s *server) ended(p *process, exit exitReport) {
	s.mu.Lock()
	s.breaker.ended(time.Now(), time.Since(p.began), p.worked, exit)
	s.mu.Unlock()
	if exit.OOM {
		s.counters.oomKills.Add(1)
	}
	if p.worked { // else it may have ended long before it had all its memory
		s.footprint.note(p.peak)
	}
	s.state.update(func(st *state) {
		st.Exited++
		st.Processes = s.reaper.count()
		st.LastExit = &exit
	})
}
