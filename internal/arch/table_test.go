package arch_test

import "strings"

// row says what one package may import from this module. Names are relative to
// the module.
type row struct {
	imports []string
	pure    bool // values in, values out: no clock, network, file or database
}

// Sets of the table. What a pure package may import is every pure package: the
// compiler keeps them from going round in circles.
var (
	pure  = []string{"licenses/permit", "licenses/status", "licenses/attachment", "verify", "verify/trust", "ca/profile", "ca/lint"}
	house = []string{"internal/registry", "internal/keys", "internal/audit", "internal/outbox", "internal/egress", "internal/db", "internal/web", "internal/obs", "internal/fault"}
)

// services are the four contexts with their pages.
var services = []string{"ca", "ca/agency", "oidc", "oidc/login", "oidc/account", "licenses", "licenses/desk", "licenses/wallet", "verify/scanner"}

// table is the whole of who imports whom.
var table = map[string]row{
	"licenses/permit": {imports: pure, pure: true},
	"licenses/status": {imports: pure, pure: true},
	"verify":          {imports: pure, pure: true},
	"verify/trust":    {imports: pure, pure: true},
	"ca/profile":      {imports: pure, pure: true},
	"ca/lint":         {imports: pure, pure: true},
	"verify/read":     {imports: pure},

	"licenses/attachment": {imports: pure, pure: true},

	"internal/fault":    {},
	"internal/obs":      {},
	"internal/web":      {imports: []string{"internal/obs", "internal/fault"}},
	"internal/db":       {imports: []string{"internal/fault"}},
	"internal/audit":    {imports: []string{"internal/db", "internal/web", "internal/obs", "internal/fault"}},
	"internal/registry": {imports: []string{"internal/audit", "internal/db", "internal/web", "internal/obs", "internal/fault"}},
	"internal/keys":     {imports: []string{"internal/audit", "internal/db", "internal/web", "internal/obs", "internal/fault"}},
	"internal/trust":    {imports: join(house, pure)},
	"internal/egress":   {imports: []string{"internal/fault"}},
	"internal/outbox":   {imports: []string{"internal/db", "internal/obs", "internal/fault"}},

	"ca":       {imports: join(house, pure)},
	"oidc":     {imports: join(house, pure)},
	"licenses": {imports: join(house, pure)},

	"oidc/login":      {imports: house},
	"oidc/account":    {imports: join(house, []string{"oidc/login"})},
	"ca/agency":       {imports: join(house, pure, []string{"ca"})},
	"licenses/form":   {imports: []string{"licenses", "licenses/attachment", "internal/web", "internal/fault"}},
	"licenses/desk":   {imports: join(house, pure, []string{"licenses", "licenses/form"})},
	"licenses/wallet": {imports: join(house, pure, []string{"licenses", "licenses/form"})},
	"verify/scanner":  {imports: []string{"internal/web", "internal/obs", "internal/fault"}},

	// What other systems are told.
	"internal/webhook": {imports: house},

	// The two-person rule, and its pages.
	"internal/approval": {imports: []string{"internal/registry", "internal/audit", "internal/db", "internal/web", "internal/fault"}},
	"internal/console":  {imports: join(house, []string{"internal/approval"})},

	"config":     {},
	"cmd/city":   {imports: join(house, pure, services, []string{"internal/trust", "internal/webhook", "internal/approval", "internal/console", "verify/read", "config", "cmd/demoapp"})},
	"cmd/signet": {imports: join(house, pure, services, []string{"internal/trust", "internal/approval", "internal/console", "verify/read", "config", "cmd/city", "cmd/visitor"})},
	// A relying party of the demo and a visitor of its pages know addresses only.
	"cmd/demoapp": {imports: []string{"internal/web", "internal/obs", "internal/fault"}},
	"cmd/visitor": {},

	"internal/testkit/vector": {},
	"internal/testkit":        {imports: []string{"internal/db", "internal/audit", "internal/keys", "internal/web", "internal/fault"}},
	"internal/arch":           {},
}

// everywhere is the one tree that may import everything: the tests of the whole.
const everywhere = "certs-test"

// testsImport is what test files may import beyond their package's own row. The
// services stay apart in tests too.
var testsImport = join(house, pure, []string{"internal/testkit", "internal/testkit/vector"})

// door is a library, given by the beginning of its import path, and the packages
// that may import it.
type door struct {
	path string
	open []string
}

// doors lists every library. Of two that fit, the longer path counts.
var doors = []door{
	{"github.com/jackc/pgx/", []string{"internal/db", "internal/testkit"}},
	{"modernc.org/sqlite", []string{"internal/db", "internal/testkit"}},
	{"github.com/pressly/goose/", []string{"internal/db"}},
	{"github.com/ory/", []string{"oidc"}},
	{"github.com/go-webauthn/", []string{"oidc/login", "internal/approval"}},
	{"github.com/coreos/go-oidc/", []string{"cmd/demoapp"}},
	{"golang.org/x/oauth2", []string{"cmd/demoapp"}},
	{"golang.org/x/net/html", []string{"cmd/visitor"}},
	{"golang.org/x/net/publicsuffix", []string{"ca/profile"}},
	{"golang.org/x/text/", []string{"internal/web", "oidc/login", "licenses/form", "ca"}},
	{"github.com/chromedp/", []string{"internal/testkit"}},
	{"github.com/go-jose/go-jose/v4", []string{"oidc", "licenses"}},
	{"github.com/smallstep/", []string{"ca", "internal/keys"}},
	{"go.step.sm/crypto/", []string{"ca", "internal/keys"}},
	{"github.com/cloudflare/cfssl/", []string{"ca"}},
	{"github.com/zmap/", []string{"ca/lint"}},
	{"github.com/fxamacker/cbor/", []string{"licenses/permit", "licenses/status", "verify", "verify/trust", "internal/audit", "internal/approval"}},
	{"github.com/veraison/go-cose", []string{"licenses/permit", "licenses/status", "verify", "verify/trust", "internal/approval"}},
	{"rsc.io/qr", []string{"licenses"}},
	{"github.com/makiuchi-d/gozxing", []string{"verify/read"}},
	{"github.com/knadh/koanf/", []string{"config"}},
	{"github.com/spf13/", []string{"cmd/signet"}},
	{"github.com/santhosh-tekuri/jsonschema/", []string{"licenses"}},
	{"go.yaml.in/yaml/", []string{"licenses", "ca", "cmd/city", "oidc"}}, // files that people write: types, the ceremony, personas
	{"github.com/miekg/pkcs11", []string{"internal/keys"}},
	{"golang.org/x/mod/sumdb/tlog", []string{"internal/audit"}},
	// Signers and verifiers of checkpoints go from the keyring to the log.
	{"golang.org/x/mod/sumdb/note", []string{"internal/audit", "internal/keys", "cmd/city"}},
	{"golang.org/x/sync/", []string{"cmd/city"}},
	// The registerer stands in every Options; see metricsOnly.
	{"github.com/prometheus/client_golang/prometheus", join(house, services, []string{"internal/trust", "internal/webhook", "internal/approval", "internal/console", "cmd/city", "cmd/signet"})},
	{"github.com/prometheus/client_golang/prometheus/", []string{"internal/obs"}},
	{"golang.org/x/crypto/", join(house, pure, services, []string{"internal/trust", "cmd/city", "cmd/signet"})},
}

// testDoors lists the libraries that any test may import, and no other file:
// comparing, judging histories, scripts of the command line, browsers, codes for them
// to read, somebody else's OAuth and OpenID clients, a name server that lies, and
// signers for the log of a test.
var testDoors = []string{"github.com/google/go-cmp/", "github.com/anishathalye/porcupine", "github.com/rogpeppe/go-internal/testscript", "golang.org/x/oauth2", "github.com/coreos/go-oidc/",
	"github.com/chromedp/", "rsc.io/qr", "golang.org/x/net/dns/dnsmessage", "golang.org/x/mod/sumdb/note", "github.com/prometheus/client_golang/prometheus/testutil"}

// metricsOnly reports whether a name of the prometheus package makes or registers
// a collector, which only metrics.go does.
func metricsOnly(name string) bool {
	return strings.HasPrefix(name, "New") && name != "NewRegistry" || strings.HasSuffix(name, "Opts") || name == "MustRegister"
}

// impureImports is what no pure package may import, by exact path or, ending in
// a slash, by its beginning.
var impureImports = []string{"net/http", "net/http/", "os", "os/", "io/ioutil", "database/sql", "database/sql/", "log", "log/slog", "syscall", "plugin"}

// impureCalls is what no pure package may use of the packages that it may
// import, by exact name or, ending in a star, by its beginning. The types of
// package net are values; certificates hold them.
var impureCalls = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick", "time.NewTimer", "time.NewTicker",
	"net.Dial*", "net.Listen*", "net.Lookup*", "net.Resolve*", "net.Interface*",
}

// maxOutside is how many outside modules verify may pull in, with all that it
// imports: it is the part that others are to audit and build in.
const maxOutside = 3

// join returns the elements of all sets.
func join(sets ...[]string) []string {
	var all []string
	for _, s := range sets {
		all = append(all, s...)
	}
	return all
}
