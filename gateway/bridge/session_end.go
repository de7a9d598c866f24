package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// exited records that the process has been reaped.
func (sess *session) exited(exit exitReport) {
	sess.exit = &exit
	sess.in = nil
	sess.closeStdin()
	if sess.stdout != nil {
		sess.stdout.readable = true // what it wrote last
	}
	sess.wait()
	sess.turn()
}

// stop ends the process: the end of its input, then TERM, then KILL. The next attach of this key starts a new process.
func (sess *session) stop(cause string) {
	if sess.ending {
		return
	}
	sess.ending = true
	if cause != "" {
		sess.forget()
	}
	sess.p.blame(cause) // before the end of its input, by which it may end at once
	go sess.p.stop(sess.s.grace, cause)
}

// wait begins the time that the session outlives its connection, or its process.
func (sess *session) wait() {
	if !sess.over && sess.linger == nil {
		sess.after(&sess.linger, sess.s.linger, func() { sess.expire("linger") })
	}
}

func (sess *session) expire(cause string) {
	if sess.exit != nil {
		sess.finish()
		return
	}
	sess.stop(cause)
	sess.turn()
}

// leave sends the client the reason, and closes.
func (sess *session) leave(r refusal) {
	fd := sess.link.fd
	sess.s.loop.remove(fd)
	sess.link = nil
	sess.wait()
	go func() {
		sendNow(fd, lastLine(r))
		lingerClose(fd)
	}()
}

// unlink closes the connection; the session waits for another.
func (sess *session) unlink() {
	if sess.link != nil {
		sess.s.loop.remove(sess.link.fd)
		_ = unix.Close(sess.link.fd)
		sess.link = nil
		sess.wait()
	}
}

func (sess *session) closeStdin() { sess.close(&sess.stdin) }

func (sess *session) closeStdout() { sess.close(&sess.stdout) }

func (sess *session) close(e **end) {
	if *e != nil {
		sess.s.loop.remove((*e).fd)
		_ = unix.Close((*e).fd)
		*e = nil
	}
}

// finish releases everything.
func (sess *session) finish() {
	if sess.over {
		return
	}
	sess.over = true
	stopTimer(&sess.linger)
	stopTimer(&sess.idle)
	sess.unlink()
	sess.closeStdin()
	sess.closeStdout()
	sess.forget()
	sess.s.open.Add(-1)
}

// forget frees the key.
func (sess *session) forget() {
	if !sess.forgotten {
		sess.forgotten = true
		delete(sess.s.sessions, sess.key)
	}
}

// after runs f on the loop's thread, unless the timer has been stopped or replaced by then.
func (sess *session) after(timer **time.Timer, d time.Duration, f func()) {
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		sess.s.loop.post(func() {
			if *timer == mine && !sess.over {
				*timer = nil
				f()
			}
		})
	})
	*timer = mine
}

func stopTimer(timer **time.Timer) {
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
}
