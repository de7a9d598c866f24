package main

// attach connects to a session, which begins with its first connection.
func (s *server) attach(conn stream, g greeting) {
	s.pendingReports.Add(1)
	defer s.pendingReports.Add(-1)
	fd, err := takeDescriptor(conn)
	if err != nil {
		s.log.printf("attach: %v", err)
		return
	}
	if !s.has(g.Session) {
		s.awaitRoom()
	}
	s.starting.Lock() // two connections that attach to the same key at once must share a process
	defer s.starting.Unlock()
	if s.resume(g.Session, fd) {
		return
	}
	child, refused := s.startPiped(g.Tag)
	if refused == nil {
		refused = s.beginSession(g.Session, child, fd)
	}
	if refused != nil {
		sendNow(fd, lastLine(s.refused(*refused)))
		go lingerClose(fd)
	}
}

func (s *server) has(key string) (found bool) {
	s.loop.call(func() { found = s.sessions[key] != nil })
	return found
}

func (s *server) resume(key string, fd int) (resumed bool) {
	s.loop.call(func() {
		if sess := s.sessions[key]; sess != nil {
			resumed = true
			sess.attach(fd, true)
		}
	})
	return resumed
}

func (s *server) beginSession(key string, child *piped, fd int) *refusal {
	sess := &session{s: s, key: key, p: child.p, wrote: child.wrote, stdin: newEnd(child.stdin), stdout: newEnd(child.stdout)}
	s.open.Add(1)
	var failure error
	s.loop.call(func() {
		s.sessions[key] = sess
		if failure = sess.begin(); failure != nil {
			sess.stop("start")
			sess.finish()
			return
		}
		sess.attach(fd, false)
		if isClosed(s.deadline) { // it began after all sessions had been ended
			sess.stop("drain")
			sess.turn()
		}
	})
	if failure != nil {
		return noDescriptors(failure)
	}
	child.p.whenOver(func(exit exitReport) { s.loop.post(func() { sess.exited(exit) }) })
	return nil
}

// endSessions ends every session at the drain deadline.
func (s *server) endSessions() {
	s.loop.post(func() {
		for _, sess := range s.sessions {
			sess.stop("drain")
			sess.turn()
		}
	})
}
