package e2e_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/testkit"
)

// TestDeskToWalletToScanner follows one permit through people's hands: a clerk
// applies, another approves, the firm's delegate shows it full-screen, and an
// inspector's camera reads that screen while the city is not there.
func TestDeskToWalletToScanner(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	firm := s.Firms[0]
	b := tab{t, testkit.Browser(t)}
	clerk, reviewer := s.clerksOf(t, agency)

	b.open(s.Issuer + "/desk/food-business/new")
	b.signIn(clerk)
	b.see("[name=trade_name]")
	b.press("submit") // nothing filled in: every problem at once
	b.see(".problems")
	if n := b.text(`document.querySelectorAll(".problems li").length`); n < "5" {
		t.Errorf("an empty form has %s problems", n)
	}
	b.fill(food(firm.USCC))
	b.press("submit")
	b.see(".panel")
	if b.text(`document.querySelector("button[name=approve]")`) != "null" {
		t.Error("whoever applied may approve")
	}
	application := b.text("location.href")
	b.signOut(s.Issuer)

	b.open(application)
	b.signIn(reviewer)
	b.see("button[name=approve]")
	b.press("approve")
	b.see(".code img")
	b.signOut(s.Issuer)

	b.open(s.Issuer + "/wallet")
	b.signIn(s.citizen(t, firm.Delegates[len(firm.Delegates)-1])) // not its legal representative
	b.see(".switch summary")
	b.click(".switch summary")
	b.fill(map[string]string{"firm": firm.USCC})
	b.press("act")
	b.see(".card.permit .button")
	b.click(".card.permit .button")
	b.see(".screen .code img")
	picture := filepath.Join(t.TempDir(), "screen.png")
	b.text(`(async () => { const i = document.querySelector(".code img"); await i.decode(); return 1 })()`)
	if err := testkit.Shot(b.ctx, picture, 390, 844); err != nil {
		t.Fatal(err)
	}

	clip := write(t, filepath.Join(t.TempDir(), "camera.mjpeg"), film(t, read(t, picture)))
	inspector := tab{t, testkit.Browser(t, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-video-capture="+clip)}
	testkit.Allow(inspector.ctx, "ERR_CONNECTION_REFUSED") // the city will not be there
	inspector.open(s.Issuer + "/verify/")
	inspector.verdict("", func() bool { return inspector.text(`document.querySelector("#basis").dataset.offline`) == "ready" })
	inspector.scan("valid")

	s.stop(t)
	inspector.do(chromedp.Reload())
	inspector.scan("valid")
	if asOf := inspector.text(`document.querySelector("#verdict").dataset.asOf`); asOf == "" {
		t.Error("a verdict without an age of its status")
	}
}

// scan points the camera and waits for a verdict.
func (b tab) scan(want string) {
	b.t.Helper()
	b.click("#camera")
	b.verdict(want, func() bool { return b.text(`document.querySelector("#verdict").dataset.verdict`) != "" })
}

// verdict waits until there is one, and compares it with want unless that is "".
func (b tab) verdict(want string, there func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !there() {
		if time.Now().After(deadline) {
			b.t.Fatalf("nothing after %v\n%s", patience, b.text("document.body.innerText"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if want == "" {
		return
	}
	if got := b.text(`document.querySelector("#verdict").dataset.verdict`); got != want {
		b.t.Errorf("verdict %q (%s), want %s", got, b.text(`document.querySelector("#verdict").dataset.reason`), want)
	}
}

// film makes a short film of a picture as a camera sees it: on a grey desk, a
// little dim, in frames of one size.
func film(t *testing.T, picture []byte) []byte {
	t.Helper()
	screen, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	frame := image.NewRGBA(image.Rect(0, 0, 640, 960))
	draw.Draw(frame, frame.Bounds(), image.NewUniform(color.RGBA{96, 92, 88, 255}), image.Point{}, draw.Src)
	draw.Draw(frame, screen.Bounds().Add(image.Pt(110, 50)), screen, screen.Bounds().Min, draw.Src)
	for i := range frame.Pix {
		if i%4 != 3 {
			frame.Pix[i] = frame.Pix[i]/8*7 + 10
		}
	}
	var out bytes.Buffer
	for range 10 {
		if err := jpeg.Encode(&out, frame, &jpeg.Options{Quality: 70}); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
