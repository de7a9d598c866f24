package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible replaces what a terminal or log viewer would obey instead of show by Go's own escapes: control characters (C0, DEL, C1:
// ANSI and OSC sequences begin with these), format characters (Unicode category Cf: bidirectional controls), line and paragraph
// separators, and bytes that are not UTF-8. Tab passes.
func visible(text string) string {
	start := firstHidden(text)
	if start < 0 {
		return text
	}
	var out strings.Builder
	out.WriteString(text[:start])
	for rest := text[start:]; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if hidden(r, size) {
			quoted := strconv.QuoteToASCII(rest[:size])
			out.WriteString(quoted[1 : len(quoted)-1])
		} else {
			out.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return out.String()
}

func firstHidden(text string) int {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if hidden(r, size) {
			return at
		}
		at += size
	}
	return -1
}

func hidden(r rune, size int) bool {
	if r < utf8.RuneSelf {
		return r != '\t' && (r < ' ' || r == 0x7f)
	}
	return r == utf8.RuneError && size == 1 || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
