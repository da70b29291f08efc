package config

import (
	"bufio"
	"encoding/json/v2"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Print writes the effective configuration as YAML that Load reads back, with
// where each value came from. A field that is not set is a comment.
func (c Config) Print(w io.Writer) error {
	c.fillDefaults("")
	out := bufio.NewWriter(w)
	section := ""
	for _, f := range fields() {
		name, indent := f.key, ""
		if before, after, ok := strings.Cut(f.key, "."); ok {
			name, indent = after, "  "
			if before != section {
				fmt.Fprintf(out, "%s:\n", before)
			}
			section = before
		}
		value, err := printed(f.of(&c).Interface())
		if err != nil {
			return fmt.Errorf("print configuration: %s: %w", f.key, err)
		}
		if value == `""` {
			fmt.Fprintf(out, "%s# %s: not set\n", indent, name)
			continue
		}
		fmt.Fprintf(out, "%s%s: %s # %s\n", indent, name, value, comment(c.SourceOf(f.key)))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

// comment keeps a source on one line: it may hold a path.
func comment(source string) string {
	if isPrintable(source) {
		return source
	}
	return strconv.QuoteToASCII(source)
}

// printed returns a value as YAML. A JSON string is a YAML string.
func printed(v any) (string, error) {
	switch v := v.(type) {
	case time.Duration:
		return v.String(), nil
	case string:
		b, err := json.Marshal(v)
		return string(b), err
	default:
		return fmt.Sprint(v), nil
	}
}
