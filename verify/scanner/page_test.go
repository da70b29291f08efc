package scanner_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/verify/scanner"
	"github.com/signet-city/signet/verify/trust"
)

// page is the page in a browser.
type page struct {
	t   testing.TB
	ctx context.Context
}

// browse opens the city's page in a browser with those flags, and waits until it is
// ready for use with no network.
func (c *city) browse(t testing.TB, flags ...string) page {
	t.Helper()
	if !scanner.Built() {
		t.Skip("the page has not been built: npm ci && npm run build in verify/scanner")
	}
	p := page{t, testkit.Browser(t, flags...)}
	p.do(chromedp.Navigate(c.base + "/verify/"))
	return p
}

func (p page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// ask evaluates an expression of a text.
func (p page) ask(expression string) string {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression has that value.
func (p page) until(expression, want string) {
	p.t.Helper()
	var got string
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if got = p.ask(expression); got == want {
			return
		}
	}
	p.t.Fatalf("%s is %q, want %q\n%s", expression, got, want, p.ask("document.body.innerText"))
}

func (p page) ready() {
	p.t.Helper()
	p.until("document.querySelector('#basis').dataset.offline", "ready")
}

// verdict waits for a verdict with its reason.
func (p page) verdict(want, reason string) {
	p.t.Helper()
	p.until("(v => v.dataset.verdict + ' ' + v.dataset.reason)(document.querySelector('#verdict'))", want+" "+reason)
}

func (p page) paste(text string) {
	p.t.Helper()
	p.again()
	p.do(chromedp.SetValue(chromedp.CSS("[name=paste]"), text), chromedp.Click(chromedp.CSS("#check")))
}

func (p page) file(path string) {
	p.t.Helper()
	p.again()
	p.do(chromedp.SetUploadFiles(chromedp.CSS("[name=file]"), []string{path}))
}

func (p page) again() {
	p.t.Helper()
	if p.ask("document.querySelector('#result').hidden") == "false" {
		p.do(chromedp.Click(chromedp.CSS("#again")))
	}
}

func (p page) reload() {
	p.t.Helper()
	p.do(chromedp.Reload())
	p.until("document.querySelector('#basis').dataset.trust", "ready")
}

// TestWithTheServerStopped is what the page is for: after one visit it tells by
// camera, file and text, with no network.
func TestWithTheServerStopped(t *testing.T) {
	c := newCity(t)
	good, revoked := c.permit(nil), c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex })
	p := c.browse(t, append(clip(t, frame(code(t, good, 6), 560, 0)), "--accept-lang=zh-CN")...)
	p.ready()
	c.server.CloseClientConnections()
	c.server.Close()
	testkit.Allow(p.ctx, "Failed to load resource")
	testkit.Allow(p.ctx, "ERR_CONNECTION_REFUSED")
	p.reload()

	p.do(chromedp.Click(chromedp.CSS("#camera")))
	p.verdict("valid", "")
	if asOf := p.ask("document.querySelector('#verdict').dataset.asOf"); asOf != time.Unix(c.now-3600, 0).UTC().Format(time.RFC3339) {
		t.Errorf("as of %s", asOf)
	}
	if text := p.ask("document.querySelector('#result').innerText"); !strings.Contains(text, "东湖区市场监督管理局") || !strings.Contains(text, "JY29901010012345") {
		t.Errorf("the permit's fields are not shown: %s", text)
	}
	if focus := p.ask("document.activeElement.id"); focus != "verdict" {
		t.Errorf("focus is on %q", focus)
	}
	p.file(keep(t, "good.png", pngOf(t, code(t, good, 4))))
	p.verdict("valid", "")
	p.paste("\n  " + good + " \n")
	p.verdict("valid", "")
	p.file(keep(t, "permit.txt", []byte(good+"\n")))
	p.verdict("valid", "")
	p.file(keep(t, "revoked.jpeg", jpegOf(t, code(t, revoked, 4), 80)))
	p.verdict("revoked", "listed_revoked")
	p.until("document.querySelector('#basis').dataset.problem", "offline")
}

// TestVerdictsAreTold goes through the kinds of verdicts and of files.
func TestVerdictsAreTold(t *testing.T) {
	c := newCity(t)
	good := c.permit(nil)
	p := c.browse(t)
	p.ready()
	another := newCity(t)
	texts := []struct{ name, text, verdict, reason string }{
		{"valid", good, "valid", ""},
		{"suspended", c.permit(func(p *permit.Claims) { p.Status.Index = suspendedIndex }), "suspended", "listed_suspended"},
		{"revoked", c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }), "revoked", "listed_revoked"},
		{"expired", c.permit(func(p *permit.Claims) { p.Expires = c.now - day }), "expired", "past_end"},
		{"not begun", c.permit(func(p *permit.Claims) { p.NotBefore = c.now + day }), "not_yet_valid", "before_start"},
		{"another list", c.permit(func(p *permit.Claims) { p.Status.List = 2 }), "undetermined", "list_not_covered"},
		{"an unknown type", c.permit(func(p *permit.Claims) { p.Type = 9 }), "undetermined", "type_not_in_bundle"},
		{"a forgery", another.permit(nil), "bad_signature", "signature_does_not_verify"},
		{"no permit", "hello", "malformed", "not_a_permit"},
		{"cut off", good[:len(good)-4], "malformed", "not_a_permit"},
		{"markup", `<img src=x onerror="alert(1)">`, "malformed", "not_a_permit"},
		{"too long", "EL1:" + strings.Repeat("0", 4000), "too_large", "over_a_bound"},
	}
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			p := page{t, p.ctx}
			p.paste(tt.text)
			p.verdict(tt.verdict, tt.reason)
		})
	}
	files := []struct {
		name, file      string
		body            []byte
		verdict, reason string
	}{
		{"picture without a code", "blank.png", pngOf(t, paper(600, 400)), "undetermined", "no_code_in_file"},
		{"picture with another code", "other.png", pngOf(t, code(t, "https://example.org/", 6)), "undetermined", "no_code_in_file"},
		{"picture with a bomb", "bomb.png", pngOf(t, code(t, bombText(t), 3)), "too_large", "over_a_bound"},
		{"picture of too many pixels", "huge.png", hugePNG(), "too_large", "over_a_bound"},
		{"no file that is known", "random.bin", []byte{0, 1, 2, 3}, "undetermined", "file_unreadable"},
		{"a damaged picture", "damaged.png", pngOf(t, paper(600, 400))[:200], "undetermined", "file_unreadable"},
		{"two permits", "two.png", pngOf(t, place(code(t, good, 4), code(t, c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }), 4))), "revoked", "listed_revoked"},
		{"a turned photograph", "turned.jpeg", jpegOf(t, noise(blur(frame(code(t, good, 6), 520, 33), 1), 8), 70), "valid", ""},
		{"a small code on a large page", "page.png", pngOf(t, largePage(t, good)), "valid", ""},
	}
	for _, tt := range files {
		t.Run(tt.name, func(t *testing.T) {
			p := page{t, p.ctx}
			p.file(keep(t, tt.file, tt.body))
			p.verdict(tt.verdict, tt.reason)
			if tt.name == "two permits" && p.ask("document.querySelectorAll('#others button').length") != "2" {
				t.Error("the other permit is not offered")
			}
		})
	}
}

// TestCameraClips holds the camera to what hands, light and distance do.
// TestStolenKey: once the page was on the network, permits that the stolen key signed
// honestly stay valid, with the server stopped too; those of the thief do not.
func TestStolenKey(t *testing.T) {
	c := newCity(t)
	honest, forged := c.permit(nil), c.permit(nil)
	parsed, err := permit.Parse(honest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.stolen, err = trust.EncodeGenuine([][16]byte{parsed.SigStructureHash()}); err != nil {
		t.Fatal(err)
	}
	c.publish()
	p := c.browse(t)
	p.ready()
	testkit.Allow(p.ctx, "Failed to load resource")
	testkit.Allow(p.ctx, "ERR_CONNECTION_REFUSED")
	c.server.Close()
	p.reload()
	p.paste(honest)
	p.verdict("valid", "")
	p.again()
	p.paste(forged)
	p.verdict("key_compromised", "not_on_genuine_list")
}

func TestCameraClips(t *testing.T) {
	c := newCity(t)
	text := c.permit(nil)
	big := code(t, text, 6)
	for name, frames := range map[string][]*image.Gray{
		"rotated":                              {frame(big, 500, 20), frame(big, 500, 45), frame(big, 500, 200)},
		"blurred":                              {blur(frame(big, 600, 3), 2)},
		"small":                                {frame(big, 230, 0)},
		"noisy":                                {noise(frame(big, 520, 8), 28)},
		"after an empty page and another code": {paper(960, 720), frame(code(t, "https://example.org/", 6), 400, 0), frame(big, 560, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.browse(t, clip(t, frames...)...)
			p.ready()
			p.do(chromedp.Click(chromedp.CSS("#camera")))
			p.verdict("valid", "")
			if p.ask("document.querySelector('#video').srcObject") != "null" {
				t.Error("the camera was not switched off")
			}
		})
	}
}

func TestCameraInTheWay(t *testing.T) {
	c := newCity(t)
	t.Run("refused", func(t *testing.T) {
		p := c.browse(t, "--use-fake-device-for-media-stream", "--deny-permission-prompts")
		p.do(chromedp.Click(chromedp.CSS("#camera")))
		p.until("document.querySelector('#trouble').dataset.trouble", "cameraRefused")
		p.until("document.activeElement.id", "trouble")
		p.until("document.querySelector('#camera').checkVisibility()", "true")
	})
	t.Run("absent", func(t *testing.T) {
		p := c.browse(t, "--use-fake-ui-for-media-stream")
		p.do(chromedp.Click(chromedp.CSS("#camera")))
		p.until("document.querySelector('#trouble').dataset.trouble", "cameraAbsent")
	})
}

func TestStatusAbsentOrOld(t *testing.T) {
	c := newCity(t)
	good := c.permit(nil)
	t.Run("absent", func(t *testing.T) {
		c.serve(map[string][]byte{"/status/snapshot": nil})
		p := c.browse(t)
		testkit.Allow(p.ctx, "Failed to load resource")
		p.until("document.querySelector('#basis').dataset.trust", "ready")
		p.paste(good)
		p.verdict("undetermined", "no_status")
	})
	t.Run("no trust at all", func(t *testing.T) {
		c.serve(map[string][]byte{"/trust/bundle": nil})
		p := c.browse(t)
		testkit.Allow(p.ctx, "Failed to load resource")
		p.paste(good)
		p.verdict("undetermined", "no_trust")
	})
	c.seq = 0
	c.publish()
	t.Run("refused", func(t *testing.T) {
		c.serve(map[string][]byte{"/status/snapshot": c.snapshot(9, c.now-3600, c.bundle)})
		p := c.browse(t)
		p.until("document.querySelector('#basis').dataset.trust", "ready")
		p.paste(good)
		p.verdict("undetermined", "status_refused")
	})
	t.Run("old", func(t *testing.T) {
		c.serve(map[string][]byte{"/status/snapshot": c.snapshot(9, c.now-8*day, c.status)})
		p := c.browse(t)
		p.ready()
		p.paste(good)
		p.verdict("undetermined", "status_too_old")
		p.paste(c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }))
		p.verdict("undetermined", "status_too_old_listed")
	})
}

// TestNothingOlderAndNoOtherRoot holds the page to what it has seen.
func TestNothingOlderAndNoOtherRoot(t *testing.T) {
	c := newCity(t)
	old := maps.Clone(c.files)
	c.publish()
	newest := maps.Clone(c.files)
	p := c.browse(t)
	testkit.Allow(p.ctx, "/status/delta/") // there is none from each to each
	p.ready()
	update := func(want string) {
		t.Helper()
		p.ask("document.querySelector('#basis button').click()")
		p.until("document.querySelector('#basis').dataset.updating", "")
		p.until("document.querySelector('#basis').dataset.problem", want)
	}
	update("")
	c.serve(old)
	update("refused")
	p.paste(c.permit(nil))
	p.verdict("valid", "")
	p.again()

	// The same numbers with other bytes.
	c.serve(newest)
	update("")
	c.seq--
	c.serve(map[string][]byte{"/trust/bundle": old["/trust/bundle"]})
	c.publish()
	update("refused")

	// Another root, which the known one has not signed for.
	thief := newKey(t)
	c.publishAs(c.rootStatement(2, nil, thief), thief)
	update("rootChanged")
	p.reload()
	p.paste(c.permit(nil))
	p.verdict("valid", "")
	p.again()

	// The known root names the next; then the next alone counts.
	next := newKey(t)
	c.seq++
	c.publishAs(c.rootStatement(2, spki(t, next), c.root, next), c.root)
	update("")
	c.publishAs(c.rootStatement(3, nil, next), next)
	update("")
	c.publishAs(c.rootStatement(4, nil, c.root), c.root) // the old one has had its day
	update("rootChanged")
}

// TestLooksAreKept switches language and size.
func TestLooksAreKept(t *testing.T) {
	c := newCity(t)
	p := c.browse(t, "--accept-lang=zh-CN")
	p.ready()
	p.until("document.documentElement.lang", "zh")
	p.do(chromedp.Click(chromedp.CSS("#lang")), chromedp.Click(chromedp.CSS("#size")))
	p.until("document.documentElement.lang + document.querySelector('h1:not(.unseen)').textContent", "enCheck a permit")
	p.reload()
	p.until("document.documentElement.lang + ' ' + document.documentElement.className", "en large")
	p.paste(c.permit(nil))
	p.verdict("valid", "")
	if text := p.ask("document.querySelector('#result').innerText"); !strings.Contains(text, "Catering service") {
		t.Errorf("not in English: %s", text)
	}
	// Nothing scrolls sideways on a narrow phone.
	p.do(chromedp.EmulateViewport(320, 640))
	if w := p.ask("document.documentElement.scrollWidth"); w != "320" {
		t.Errorf("a page of 320 px is %s px wide", w)
	}
}

// TestLooks opens every kind of page and result in both languages and holds it to
// axe-core. Where SIGNET_SHOTS names a folder it leaves pictures there for people to
// look at, as a phone and a desktop show them.
func TestLooks(t *testing.T) {
	dir := os.Getenv("SIGNET_SHOTS")
	axe, err := os.ReadFile("../../certs-test/web/node_modules/axe-core/axe.min.js")
	if err != nil && dir == "" {
		t.Skip("axe-core: not installed (npm ci in certs-test/web)")
	}
	c := newCity(t)
	p := c.browse(t)
	p.ready()
	if axe != nil {
		p.do(chromedp.Evaluate[chromedp.Void](string(axe)))
	}
	shot := func(name string, large bool) {
		t.Helper()
		for _, lang := range []string{"zh", "en"} {
			if p.ask("document.documentElement.lang") != lang {
				p.do(chromedp.Evaluate[chromedp.Void]("document.querySelector('#lang').click()"))
			}
			if axe != nil {
				found, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](axeRun, chromedp.EvalAwaitPromise))
				if err != nil {
					t.Fatal(err)
				}
				if found != "" {
					t.Errorf("%s, %s: %s", name, lang, found)
				}
			}
			for _, size := range [][2]int64{{360, 740}, {1280, 800}} {
				if dir == "" || large && size[0] == 1280 {
					continue
				}
				if err := testkit.Shot(p.ctx, filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, lang, size[0])), size[0], size[1]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	shot("start", false)
	for name, text := range map[string]string{
		"valid": c.permit(nil), "revoked": c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }), "malformed": "hello",
		"undetermined": c.permit(func(p *permit.Claims) { p.Status.List = 2 }), "not-yet": c.permit(func(p *permit.Claims) { p.NotBefore = c.now + day }),
	} {
		p.paste(text)
		p.until("document.querySelector('#result').hidden", "false")
		shot(name, false)
	}
	p.file(keep(t, "two.png", pngOf(t, place(code(t, c.permit(nil), 4), code(t, c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }), 4)))))
	p.verdict("revoked", "listed_revoked")
	shot("two", false)
	p.again()
	p.do(chromedp.Click(chromedp.CSS("#camera")))
	p.until("document.querySelector('#trouble').hidden", "false")
	shot("no-camera", false)
	p.do(chromedp.Click(chromedp.CSS("#about summary")))
	p.do(chromedp.Evaluate[chromedp.Void]("document.querySelector('#about').scrollIntoView()"))
	shot("about", false)
	p.do(chromedp.Evaluate[chromedp.Void]("document.querySelector('#size').click()"), chromedp.Evaluate[chromedp.Void]("scrollTo(0,0)"))
	shot("large-start", true)
	p.paste(c.permit(nil))
	p.verdict("valid", "")
	shot("large-valid", true)
}

// axeRun returns what axe-core finds on the page, "" for nothing.
const axeRun = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
	.then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.failureSummary).join("; ")).join("\n"))`

// bombText is a permit's text that inflates to far more than it may.
func bombText(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/spec/vectors/el1/zlib_bomb.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatal("no text in the vector")
	}
	return text
}

// hugePNG is a few bytes that say they are a picture of 30000 by 30000.
func hugePNG() []byte {
	head := []byte("IHDR\x00\x00\x75\x30\x00\x00\x75\x30\x08\x00\x00\x00\x00")
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	b = append(b, head...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(head))
	return append(b, "\x00\x00\x00\x00IEND\xae\x42\x60\x82"...)
}

// largePage is a page of a scanner with the code in a corner.
func largePage(t testing.TB, text string) *image.Gray {
	t.Helper()
	page := paper(2480, 3508)
	c := code(t, text, 3)
	for y := range c.Rect.Dy() {
		copy(page.Pix[(y+3000)*page.Stride+2000:], c.Pix[y*c.Stride:][:c.Rect.Dx()])
	}
	return page
}
