package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/config"
)

// TestConfigFlags holds the list of flags against the fields: both have the same
// names in the same order.
func TestConfigFlags(t *testing.T) {
	var fields, flags []string
	for _, s := range settings(config.Config{}) {
		fields = append(fields, strings.ReplaceAll(s.key, "_", "-"))
	}
	for _, f := range configFlags() {
		flags = append(flags, f[0])
		if strings.Count(f[1], "`") != 2 {
			t.Errorf("--%s does not name its value", f[0])
		}
	}
	if diff := cmp.Diff(fields, flags); diff != "" {
		t.Errorf("fields and flags differ (-fields +flags):\n%s", diff)
	}
}
