package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestControlAndFormatCharactersAreEscaped(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"ANSI colour":          {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"OSC window title":     {"\x1b]0;title\a", `\x1b]0;title\a`},
		"OSC 8 hyperlink":      {"\x1b]8;;http://x\x1b\\link", `\x1b]8;;http://x\x1b\link`},
		"8-bit CSI":            {"\u009b2J", `\u009b2J`},
		"raw C1 byte":          {"\x9b2J", `\x9b2J`},
		"carriage return":      {"real\rforged", `real\rforged`},
		"line feed":            {"real\n[mcp-bridge] forged", `real\n[mcp-bridge] forged`},
		"backspace":            {"a\b \b", `a\b \b`},
		"NUL and DEL":          {"\x00\x7f", `\x00\x7f`},
		"bidirectional":        {"a\u202eb\u2066c", `a\u202eb\u2066c`},
		"line separator":       {"a\u2028b\u2029", `a\u2028b\u2029`},
		"tag characters":       {"a\U000e0041", `a\U000e0041`},
		"not UTF-8":            {"\xff\xc3(", `\xff\xc3(`},
		"shift out":            {"\x0e", `\x0e`},
		"plain text and a tab": {"a\tb\\n \"ü€漢😀\"", "a\tb\\n \"ü€漢😀\""},
		"replacement":          {"\ufffd", "\ufffd"},
	} {
		if got := visible(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("\x1b[31m\r\u009b\u202e\xff\ufffd plain")
	f.Add("\t\\x1b ü")
	f.Fuzz(func(t *testing.T, text string) {
		got := visible(text)
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		if at := strings.IndexFunc(got, func(r rune) bool { return r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); at >= 0 {
			t.Fatalf("%q passes at %d", got, at)
		}
		if visible(got) != got {
			t.Fatalf("%q is escaped twice", got)
		}
		if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return r != '\t' && !unicode.IsGraphic(r) }) < 0 && got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
