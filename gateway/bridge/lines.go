package main

import (
	"bytes"
	"errors"
)

// maxLine bounds one message of a session, in bytes: above the 10 MiB that the TypeScript SDK itself reads.
const maxLine = 16 << 20

var errLineTooLong = errors.New("a line of over 16 MiB: MCP's stdio transport carries one message a line, and no message is this long")

// lineSplitter makes whole lines of chunks of any size. A line that comes whole is not copied.
type lineSplitter struct{ partial []byte }

// feed calls each for every line that chunk completes, without its newline; the line is valid during the call only.
// It stops at the first error.
func (s *lineSplitter) feed(chunk []byte, each func(line []byte) error) error {
	for {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			if len(s.partial)+len(chunk) > maxLine {
				return errLineTooLong
			}
			s.partial = append(s.partial, chunk...)
			return nil
		}
		line := chunk[:end]
		chunk = chunk[end+1:]
		if len(s.partial)+len(line) > maxLine {
			return errLineTooLong
		}
		if len(s.partial) > 0 {
			line = append(s.partial, line...)
			s.partial = nil
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
