package profile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca/profile"
)

func TestParseGrant(t *testing.T) {
	for s, want := range map[string]string{
		"www.amr.jiangcheng.example": "www.amr.jiangcheng.example", ".amr.jiangcheng.example": ".amr.jiangcheng.example", "jiangcheng.gov.cn": "jiangcheng.gov.cn",
		".jiangcheng.gov.cn": ".jiangcheng.gov.cn", "192.0.2.7": "192.0.2.7", "2001:DB8::7": "2001:db8::7", "::ffff:192.0.2.7": "192.0.2.7",
	} {
		if got, err := profile.ParseGrant(s); err != nil || got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", ".", "..a.example", "*.a.example", ".*.a.example", "cn", ".cn", "gov.cn", ".gov.cn", "com.cn", "example", ".example", "localhost",
		"A.example", "a_b.example", "a.example.", "a..example", "-a.example", "http://a.example", "a.example/", "192.0.2.0/24", "fe80::1%eth0", " a.example",
		"a.example\x00", strings.Repeat("a.", 126) + "example", ".192.0.2.7/8"} {
		if got, err := profile.ParseGrant(s); err == nil {
			t.Errorf("%q was accepted as %q", s, got)
		}
	}
}

func TestGrants(t *testing.T) {
	for host, want := range map[string][]string{
		"www.amr.example": {"www.amr.example", ".amr.example", ".example"}, "amr.example": {"amr.example", ".example"}, "host": {"host"},
		"192.0.2.7": {"192.0.2.7"}, "::ffff:192.0.2.7": {"192.0.2.7"}, "*.amr.example": nil, ".amr.example": nil, "": nil, "AMR.example": nil,
	} {
		if got := profile.Grants(host); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
