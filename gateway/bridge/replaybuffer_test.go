package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

func newReplayBuffer(junk *[]string) *replayBuffer {
	return &replayBuffer{onJunk: func(line []byte) {
		if junk != nil {
			*junk = append(*junk, string(line))
		}
	}}
}

// drain takes at most limit bytes of what is to be sent.
func drain(o *replayBuffer, limit int) []byte {
	var out []byte
	for limit > 0 {
		data := o.next()
		if len(data) == 0 {
			break
		}
		n := min(len(data), limit)
		out = append(out, data[:n]...)
		o.sent(n)
		limit -= n
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnacknowledgedLinesAreSentAgain(t *testing.T) {
	o := newReplayBuffer(nil)
	must(t, o.write([]byte("{1}\n{2}\n{3}\n{4")))
	if got := drain(o, 1000); string(got) != "{1}\n{2}\n{3}\n{4" {
		t.Fatalf("first: %q", got)
	}
	must(t, o.acknowledge(2))
	if again := o.rewind(); again != 1 {
		t.Fatalf("%d lines come again", again)
	}
	must(t, o.write([]byte("}\n")))
	if got := drain(o, 1000); string(got) != "{3}\n{4}\n" {
		t.Fatalf("again: %q", got)
	}
	must(t, o.acknowledge(4))
	if o.unacknowledged() || o.base != o.end {
		t.Fatal("something is left")
	}
}

func TestALineAcknowledgedForAnEarlierConnectionIsStillSent(t *testing.T) {
	o := newReplayBuffer(nil)
	must(t, o.write([]byte("{1}\n{2}\n{3}\n")))
	drain(o, 1000)
	o.rewind()
	head := drain(o, 2)
	must(t, o.acknowledge(2))
	if got := string(head) + string(drain(o, 1000)); got != "{1}\n{2}\n{3}\n" {
		t.Fatalf("sent %q", got)
	}
	if o.rewind(); string(drain(o, 1000)) != "{3}\n" {
		t.Fatal("not released")
	}
}

func TestAcknowledgingAnUnwrittenLineIsAnError(t *testing.T) {
	o := newReplayBuffer(nil)
	must(t, o.write([]byte("{1}\n{2")))
	if o.acknowledge(2) == nil {
		t.Fatal("accepted")
	}
	must(t, o.acknowledge(1))
	must(t, o.acknowledge(0)) // late, not wrong
}

func TestOnlyJSONRPCMessagesPass(t *testing.T) {
	var junk []string
	o := newReplayBuffer(&junk)
	forged := magic + `{"exit":{}}`
	must(t, o.write([]byte(forged+"\n\n{1}\njunk "+strings.Repeat("x", 1000)+"\n[2]\n\x00\xff{}\n")))
	if got := drain(o, 10000); string(got) != "{1}\n[2]\n" {
		t.Fatalf("passed %q", got)
	}
	if len(junk) != 3 || junk[0] != forged || len(junk[1]) != junkSample {
		t.Fatalf("junk: %q", junk)
	}
}

func TestAByteOrderMarkAndWhiteSpaceBeforeAMessageAreDropped(t *testing.T) {
	var junk []string
	o := newReplayBuffer(&junk)
	for _, b := range []byte("\ufeff{1}\n \t{2}\n\r\n\ufeff \n\xef\xbb{x\n\uff5b\n\ufeff\ufeff{no\n[3]\n") {
		must(t, o.write([]byte{b}))
	}
	if got := drain(o, 1000); string(got) != "{1}\n{2}\n[3]\n" {
		t.Fatalf("%q", got)
	}
	if !slices.Equal(junk, []string{"\xef\xbb{x", "\uff5b", "\ufeff{no"}) {
		t.Fatalf("%q", junk)
	}
}

func TestALastLineWithoutANewlineCounts(t *testing.T) {
	var junk []string
	o := newReplayBuffer(&junk)
	must(t, o.write([]byte("{1")))
	o.finish()
	if got := drain(o, 100); string(got) != "{1\n" || o.lines() != 1 {
		t.Fatalf("%q", got)
	}
	must(t, o.write([]byte("bye")))
	o.finish()
	if len(junk) != 1 || junk[0] != "bye" {
		t.Fatalf("junk %q", junk)
	}
}

func TestTheWindowFillsButASingleLineMayBeLarger(t *testing.T) {
	o := newReplayBuffer(nil)
	line := append(append([]byte{'{'}, bytes.Repeat([]byte{'x'}, replayWindow+100)...), '\n')
	must(t, o.write(line[:replayWindow+50]))
	if o.full() {
		t.Fatal("full in the middle of the only line")
	}
	must(t, o.write(line[replayWindow+50:]))
	if !o.full() {
		t.Fatal("not full")
	}
	drain(o, len(line))
	must(t, o.acknowledge(1))
	if o.full() || len(o.chunks) > 1 {
		t.Fatal("nothing was released")
	}
}

func TestALineOfMoreThan16MiBIsAnError(t *testing.T) {
	o := newReplayBuffer(nil)
	part := bytes.Repeat([]byte{'{'}, 1<<20)
	for range 16 {
		must(t, o.write(part))
	}
	if o.write([]byte("x")) == nil {
		t.Fatal("accepted")
	}
	if err := (&replayBuffer{place: inMessage, chunks: [][]byte{make([]byte, 0, 8)}, end: maxLine}).grew(1); err == nil {
		t.Fatal("accepted in place")
	}
}

// transcript drives a replayBuffer as a session does, with connections that break anywhere, and returns what each saw.
func transcript(t *testing.T, input []byte, random *rand.Rand) (kept []string) {
	o := newReplayBuffer(nil)
	var got [][]byte // complete lines in order of their number
	var partial []byte
	acked := uint64(0)
	next := uint64(1) // number of the line that the present connection is in the middle of
	receive := func(data []byte) {
		partial = append(partial, data...)
		for {
			end := bytes.IndexByte(partial, '\n')
			if end < 0 {
				return
			}
			line := string(partial[:end])
			partial = partial[end+1:]
			if int(next) <= len(got) {
				if string(got[next-1]) != line {
					t.Fatalf("line %d came again as %q, first %q", next, line, got[next-1])
				}
			} else {
				got = append(got, []byte(line))
			}
			next++
		}
	}
	for len(input) > 0 || len(o.next()) > 0 {
		switch random.Intn(10) {
		case 0, 1, 2, 3:
			n := min(len(input), 1+random.Intn(40)<<(10*random.Intn(2)))
			if room := o.room(); room != nil && n > 0 {
				n = min(n, len(room))
				copy(room, input[:n])
				must(t, o.grew(n))
			} else {
				must(t, o.write(input[:n]))
			}
			input = input[n:]
		case 4, 5, 6:
			receive(drain(o, random.Intn(60)<<(10*random.Intn(2)))) // short, or long enough to get through a long line
		case 7, 8:
			if len(got) > int(acked) {
				acked += uint64(random.Intn(len(got) - int(acked) + 1))
				must(t, o.acknowledge(acked))
			}
		case 9:
			o.rewind()
			partial, next = nil, o.acked+1
		}
		if o.base > o.cursor || o.cursor > o.end {
			t.Fatalf("base %d cursor %d end %d", o.base, o.cursor, o.end)
		}
	}
	for _, line := range got {
		kept = append(kept, string(line))
	}
	return kept
}

func messages(input []byte) (lines []string) {
	for _, line := range strings.SplitAfter(string(input), "\n") {
		line = strings.TrimLeft(line, " \t\r")
		line = strings.TrimLeft(strings.TrimPrefix(line, byteOrderMark), " \t\r")
		if strings.HasSuffix(line, "\n") && (line[0] == '{' || line[0] == '[') {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func TestEveryLineComesAtLeastOnceInOrderAndUnchanged(t *testing.T) {
	for seed := range int64(300) {
		random := rand.New(rand.NewSource(seed))
		var input []byte
		for n := range random.Intn(40) {
			size := random.Intn(200)
			if random.Intn(10) == 0 {
				size = 70 << 10
			}
			input = append(input, fmt.Sprintf("%c%d %s\n", "{[j\n"[random.Intn(4)], n, strings.Repeat("x", size))...)
		}
		if got := transcript(t, input, random); !slices.Equal(got, messages(input)) {
			t.Fatalf("seed %d: %d lines of %d", seed, len(got), len(messages(input)))
		}
	}
}

func FuzzReplayBuffer(f *testing.F) {
	f.Add([]byte("{1}\njunk\n\n[2]\n"), int64(1))
	f.Add([]byte("{\x00\xff\r\n}\nMCP-BRIDGE/1 {\"end\":true}\n{"), int64(2))
	f.Fuzz(func(t *testing.T, input []byte, seed int64) {
		if got := transcript(t, input, rand.New(rand.NewSource(seed))); !slices.Equal(got, messages(input)) {
			t.Fatalf("got %q of %q", got, input)
		}
	})
}
