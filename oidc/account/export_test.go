package account

import (
	"time"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

// Fixtures returns the pages as their visitors see them.
func Fixtures(s *web.Site, site Site, entries []login.Entry) (*web.Pages, []testkit.Fixture, error) {
	pages, err := s.Pages(files)
	id := &web.Identity{Person: "p", Session: "s1", Name: "王小明"}
	at := time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)
	one := login.Session{ID: "s1", AuthTime: at, Seen: at, Browser: "Firefox, Windows", Network: "203.0.113.0/24"}
	two, three := login.Session{ID: "s2", AuthTime: at, Seen: at}, login.Session{ID: "s3", AuthTime: at, Seen: at, Browser: "Huawei Browser, HarmonyOS", Network: "2001:db8:1::/48"}
	own := Site{Client: "library", Name: "City library", Agency: web.Text{ZH: "本市政务服务平台", EN: "The city's own services"}, Since: at}
	return pages, []testkit.Fixture{
		{Name: "sessions", Identity: id, Page: sessionsOf(newSessionsPage([]login.Session{one, two, three}, "s1", false))},
		{Name: "sessions-alone", Identity: id, Page: sessionsOf(newSessionsPage([]login.Session{one}, "s1", true))},
		{Name: "history", Identity: id, Page: historyOf(entries)},
		{Name: "history-empty", Identity: id, Page: historyOf(nil)},
		{Name: "sites", Identity: id, Page: sitesOf(sitesPage{Sites: []Site{site, own}})},
		{Name: "sites-none", Identity: id, Page: sitesOf(sitesPage{Done: true})},
		{Name: "withdraw", Identity: id, Page: withdrawOf(site)},
	}, err
}
