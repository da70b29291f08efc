package login

import (
	"net/http"
	"strings"
	"testing"
)

func TestBrowserName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0":                                                                     "Firefox, Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0":                        "Edge, Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36":                                                "Chrome, Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1":              "Safari, iPhone",
		"Mozilla/5.0 (Linux; Android 16; X) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/150.0 Mobile Safari/537.36 MicroMessenger/8.0.60":        "WeChat, Android",
		"Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile HuaweiBrowser/5.1.0": "Huawei Browser, HarmonyOS",
		"curl/8.5.0": "", "": "", "Linux": "Linux", "<script>alert(1)</script>": "", strings.Repeat("x", 4000) + "Firefox/": "",
	} {
		if got := browserName(agent); got != want {
			t.Errorf("%.60q: %q, want %q", agent, got, want)
		}
	}
}

// TestNetworkOf: an address never comes through whole.
func TestNetworkOf(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.77:1234": "203.0.113.0/24", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1::/48", "[::ffff:203.0.113.77]:1": "203.0.113.0/24",
		"[fe80::1%eth0]:1": "fe80::/48", "@": "", "": "", "pipe": "",
	} {
		if got := networkOf(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}
