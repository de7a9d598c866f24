package main

import (
	"bytes"
	"fmt"
	"sync"
)

const (
	// replayWindow bounds what is kept for a client that does not acknowledge; then the server's own writes wait.
	replayWindow = 1 << 20
	chunkSize    = 64 << 10
	smallChunk   = 4 << 10
	junkSample   = 256
)

// byteOrderMark is U+FEFF in UTF-8: some runtimes begin their output with it, although RFC 8259 section 8.1 forbids it.
const byteOrderMark = "\xef\xbb\xbf"

// place is where in its output a server is.
type place int

const (
	atLineStart place = iota
	inMessage         // the line began { or [
	inJunk            // it did not
)

// replayBuffer holds the lines that a server wrote and its client has not acknowledged. It uses no descriptors.
//
// Offsets count the bytes of all messages since the process began; base, cursor and end are such offsets, and
// base <= cursor <= end. base is always at the start of a line.
type replayBuffer struct {
	chunks [][]byte
	head   int     // where base is in chunks[0]
	base   int64   // first byte that is kept
	cursor int64   // next byte for the present connection
	end    int64   // after the last byte that is kept
	ends   []int64 // after each whole line that is kept
	acked  uint64  // lines released; the first kept line has number acked+1
	wanted uint64  // lines acknowledged: more than acked while some of them are not sent yet

	place  place
	mark   int   // bytes of a byte order mark that the line has begun with
	begun  int64 // where the line that is being written began
	sample []byte
	onJunk func(line []byte) // gets the beginning of each line that is no message
}

// lines is the number of whole messages that the server has written.
func (o *replayBuffer) lines() uint64 { return o.acked + uint64(len(o.ends)) }

// full reports that the server must wait. A single line may be larger than the window.
func (o *replayBuffer) full() bool { return o.end-o.base >= replayWindow && len(o.ends) > 0 }

func (o *replayBuffer) unacknowledged() bool { return len(o.ends) > 0 }

// write takes what the server wrote. Only lines that can be JSON-RPC messages are kept: a server cannot forge a control line.
func (o *replayBuffer) write(data []byte) error {
	for len(data) > 0 {
		switch o.place {
		case atLineStart:
			data = o.begin(data)
		case inJunk:
			data = o.skip(data)
		case inMessage:
			end, err := o.rest(data)
			if err != nil {
				return err
			}
			o.keep(data[:end])
			if data[end-1] == '\n' {
				o.complete()
			}
			data = data[end:]
		}
	}
	return nil
}

// rest is how much of data belongs to the message that is being written, its newline included.
func (o *replayBuffer) rest(data []byte) (int, error) {
	end := bytes.IndexByte(data, '\n') + 1
	if end == 0 {
		end = len(data)
	}
	if o.end-o.begun+int64(end) > maxLine {
		return 0, errLineTooLong
	}
	return end, nil
}

// begin classifies a line by its first byte behind a byte order mark and white space, which are dropped.
func (o *replayBuffer) begin(data []byte) []byte {
	switch first := data[0]; {
	case o.mark < len(byteOrderMark) && first == byteOrderMark[o.mark]:
		o.mark++
		return data[1:]
	case o.mark%len(byteOrderMark) != 0: // it only began like a mark
		o.sample = append(o.sample, byteOrderMark[:o.mark]...)
		o.place = inJunk
	case first == '\n':
		o.mark = 0
		return data[1:]
	case first == ' ' || first == '\t' || first == '\r':
		return data[1:]
	case first == '{' || first == '[':
		o.place, o.begun = inMessage, o.end
	default:
		o.place = inJunk
	}
	o.mark = 0
	return data
}

func (o *replayBuffer) skip(data []byte) []byte {
	end := bytes.IndexByte(data, '\n')
	part := data
	if end >= 0 {
		part = data[:end]
	}
	o.sample = append(o.sample, part[:min(len(part), junkSample-len(o.sample))]...)
	if end < 0 {
		return nil
	}
	o.finishJunk()
	return data[end+1:]
}

func (o *replayBuffer) finishJunk() {
	o.onJunk(o.sample)
	o.sample, o.place = o.sample[:0], atLineStart
}

func (o *replayBuffer) complete() {
	o.ends = append(o.ends, o.end)
	o.place = atLineStart
}

// finish is the end of the output: a last line without a newline counts.
func (o *replayBuffer) finish() {
	switch o.place {
	case inMessage:
		o.keep([]byte{'\n'})
		o.complete()
	case inJunk:
		o.finishJunk()
	}
}

// keep appends bytes, in chunks that fit: a session with little to say keeps little.
func (o *replayBuffer) keep(data []byte) {
	o.end += int64(len(data))
	for len(data) > 0 {
		last := len(o.chunks) - 1
		if last < 0 || len(o.chunks[last]) == cap(o.chunks[last]) {
			o.chunks = append(o.chunks, newChunk(len(data)))
			last++
		}
		chunk := o.chunks[last]
		n := min(cap(chunk)-len(chunk), len(data))
		o.chunks[last] = append(chunk, data[:n]...)
		data = data[n:]
	}
}

// room is where the rest of a long message may be read into, which spares a copy; nil when no long message is incomplete.
func (o *replayBuffer) room() []byte {
	if o.place != inMessage || o.end-o.begun < chunkSize/2 {
		return nil
	}
	last := o.chunks[len(o.chunks)-1]
	if len(last) == cap(last) {
		last = newChunk(chunkSize)
		o.chunks = append(o.chunks, last)
	}
	return last[len(last):cap(last)]
}

// grew is write for n bytes that were read into room.
func (o *replayBuffer) grew(n int) error {
	last := &o.chunks[len(o.chunks)-1]
	added := (*last)[len(*last) : len(*last)+n]
	end, err := o.rest(added)
	if err != nil {
		return err
	}
	following := bytes.Clone(added[end:])
	*last = (*last)[:len(*last)+end]
	o.end += int64(end)
	if added[end-1] == '\n' {
		o.complete()
	}
	return o.write(following)
}

var bigChunks = sync.Pool{New: func() any { c := make([]byte, 0, chunkSize); return &c }}

func newChunk(wanted int) []byte {
	if wanted <= smallChunk {
		return make([]byte, 0, smallChunk)
	}
	return (*bigChunks.Get().(*[]byte))[:0]
}

func freeChunk(chunk []byte) {
	if cap(chunk) == chunkSize {
		bigChunks.Put(&chunk)
	}
}

// next is what to send now, without the copy; empty when everything has been sent.
func (o *replayBuffer) next() []byte {
	at := o.cursor - o.base + int64(o.head)
	for _, chunk := range o.chunks {
		if at < int64(len(chunk)) {
			return chunk[at:]
		}
		at -= int64(len(chunk))
	}
	return nil
}

// sent moves on after n bytes of next.
func (o *replayBuffer) sent(n int) {
	o.cursor += int64(n)
	o.release()
}

// rewind restarts, for a new connection, at the first line that has not been acknowledged. It returns the number of lines that
// are sent again.
func (o *replayBuffer) rewind() int {
	sent := o.cursor
	o.cursor = o.end
	o.release()
	o.cursor = o.base
	again := 0
	for again < len(o.ends) && o.ends[again] <= sent {
		again++
	}
	return again
}

// acknowledge releases the lines up to number n, which the client has consumed on this connection or an earlier one.
func (o *replayBuffer) acknowledge(n uint64) error {
	if n > o.lines() {
		return fmt.Errorf("ack %d: this process has written %d lines", n, o.lines())
	}
	o.wanted = max(o.wanted, n)
	o.release()
	return nil
}

// release drops lines that are acknowledged and sent. A line that the client has from an earlier connection is still sent on the
// present connection: clients number lines by counting.
func (o *replayBuffer) release() {
	for o.acked < o.wanted && o.ends[0] <= o.cursor {
		o.drop(o.ends[0] - o.base)
		o.ends = o.ends[1:]
		o.acked++
	}
}

func (o *replayBuffer) drop(n int64) {
	o.base += n
	for n > 0 {
		here := int64(len(o.chunks[0]) - o.head)
		if n < here {
			o.head += int(n)
			return
		}
		n -= here
		o.head = 0
		if len(o.chunks) == 1 && cap(o.chunks[0]) == smallChunk { // the next message goes here again
			o.chunks[0] = o.chunks[0][:0]
			return
		}
		freeChunk(o.chunks[0])
		o.chunks = o.chunks[1:]
	}
}
