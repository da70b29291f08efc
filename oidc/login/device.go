package login

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// families and systems are what is kept of a browser's User-Agent, the special before
// the general: most browsers name others too. Nothing else of the header is stored.
var (
	families = [...][2]string{{"MicroMessenger/", "WeChat"}, {"QQBrowser/", "QQ Browser"}, {"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"HuaweiBrowser/", "Huawei Browser"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems = [...][2]string{{"OpenHarmony", "HarmonyOS"}, {"HarmonyOS", "HarmonyOS"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// browserName returns the family of a browser and its system, such as
// "Firefox, Windows", "" where both are unknown.
func browserName(agent string) string {
	find := func(list [][2]string) string {
		for _, k := range list {
			if strings.Contains(agent, k[0]) {
				return k[1]
			}
		}
		return ""
	}
	if len(agent) > 1024 {
		agent = agent[:1024]
	}
	family, system := find(families[:]), find(systems[:])
	if family == "" || system == "" {
		return family + system
	}
	return family + ", " + system
}

// networkOf returns the network of a request, never its address: the first 24 bits of
// an IPv4 address, 48 of an IPv6 one, "" for what is neither.
func networkOf(r *http.Request) string {
	ip, ok := remote(r)
	if !ok {
		return ""
	}
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

const placeLabel = "login.place"

func (s *Service) sealPlace(ctx context.Context, network string) ([]byte, error) {
	if network == "" {
		return nil, nil
	}
	return s.o.Sealer.Seal(ctx, []byte(network), []byte(placeLabel))
}

// openPlace returns the network again. It is for its owner alone; what cannot be
// opened is as good as unknown.
func (s *Service) openPlace(ctx context.Context, sealed []byte) string {
	if len(sealed) == 0 {
		return ""
	}
	plain, err := s.o.Sealer.Open(ctx, sealed, []byte(placeLabel))
	if err != nil {
		return ""
	}
	if _, err := netip.ParsePrefix(string(plain)); err != nil {
		return ""
	}
	return string(plain)
}
