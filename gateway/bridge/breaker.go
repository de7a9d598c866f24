package main

import (
	"fmt"
	"time"
)

const (
	crashWindow  = 5 * time.Second // an end with an error sooner than this after the start is a crash at start
	crashLimit   = 5               // so many in a row open the breaker
	crashBackoff = time.Second     // doubled at each further crash, up to
	crashMaximum = 30 * time.Second
)

// breaker keeps a server that crashes at start, or clients that connect in a storm, from turning into a storm of forks.
// It keeps no clock: every method gets the time.
type breaker struct {
	rate    float64 // starts a second; the burst is the starts of one second
	tokens  float64
	filled  time.Time
	crashes int
	until   time.Time // no start before this
	last    exitReport
}

func newBreaker(rate int, now time.Time) *breaker {
	return &breaker{rate: float64(rate), tokens: float64(rate), filled: now}
}

// allow takes a start from the rate, or returns why it may not.
func (b *breaker) allow(now time.Time) *refusal {
	if wait := b.until.Sub(now); wait > 0 {
		return &refusal{Error: "backoff", Reason: "CrashLoopBackOff", Message: b.describe(), RetryAfter: wait.Seconds(), Exit: &b.last}
	}
	b.tokens = min(b.rate, b.tokens+now.Sub(b.filled).Seconds()*b.rate)
	b.filled = now
	if b.tokens < 1 {
		return &refusal{Error: "capacity", Reason: "StartRate",
			Message: fmt.Sprintf("more than %g processes a second are being started, the most that --max-start-rate allows", b.rate)}
	}
	b.tokens--
	return nil
}

// ended records the end of a process. It did not crash at start if it had written something or if the bridge ended it.
func (b *breaker) ended(now time.Time, lived time.Duration, wrote bool, exit exitReport) {
	if exit.Ended != "" {
		return
	}
	if exit.Code == 0 || wrote || lived >= crashWindow {
		b.crashes, b.until = 0, time.Time{}
		return
	}
	b.last = exit
	if b.crashes++; b.crashes >= crashLimit {
		b.until = now.Add(min(crashBackoff<<min(b.crashes-crashLimit, 10), crashMaximum))
	}
}

// describe stays the same while nothing changes: it ends up in a resource's status.
func (b *breaker) describe() string {
	return fmt.Sprintf("%d or more processes in a row ended with an error within %v of their start, the last with exit code %d",
		crashLimit, crashWindow, b.last.Code)
}
