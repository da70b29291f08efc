package e2e_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/testkit"
)

// TestTwoReviewsByPages takes a medical institution's licence through three clerks'
// browsers: one applies and attaches the plan that it takes, a second reviews, a third
// sends it back and approves it when it comes again. Who has had their turn has no
// second one.
func TestTwoReviewsByPages(t *testing.T) {
	const health = "jiangcheng-health"
	dir := filepath.Join(t.TempDir(), "city")
	s := demo(t, dir, anyPort...)
	var tabs []tab
	var clerks []city.DemoUser
	for _, c := range s.Clerks {
		if c.Agency == health && len(clerks) < 3 {
			clerks = append(clerks, c)
			tabs = append(tabs, tab{t, testkit.Browser(t)})
		}
	}
	if len(clerks) != 3 {
		t.Fatalf("%s has %d clerks", health, len(clerks))
	}
	first, second, third := tabs[0], tabs[1], tabs[2]
	firm := s.Firms[0]

	first.open(s.Issuer + "/desk/medical-institution/new?lang=zh")
	first.signIn(clerks[0])
	first.see("[name=registration]")
	first.fill(map[string]string{"holder": firm.USCC, "registration": "MA1F0011799010113D1102", "name": "东湖康宁门诊部", "category": "门诊部", "address": "江城市东湖区湖滨路18号1幢",
		"legal_representative": "林若川", "principal": "叶知夏", "ownership": "私人所有制", "operation": "营利性", "departments": "内科；外科"})
	first.press("submit")
	first.see(".panel")
	application := first.text("location.origin + location.pathname")
	first.absent("approve")

	files := t.TempDir()
	first.attach("floor-plan", write(t, filepath.Join(files, "plan.png"), drawing(t)))
	first.see(`a[href*="/attachments/"]`)

	second.open(application + "?lang=zh")
	second.signIn(clerks[1])
	second.see(`a[href*="/attachments/"]`)
	if kind := second.text(`(() => { const x = new XMLHttpRequest(); x.open("GET", document.querySelector('a[href*="/attachments/"]').href, false); x.send(); return x.getResponseHeader("Content-Type") })()`); kind != "image/png" {
		t.Errorf("the plan is %s", kind)
	}
	second.press("approve")
	second.waits("待复审")
	second.absent("approve") // they have reviewed it
	first.open(application)
	first.absent("approve")

	third.open(application + "?lang=zh")
	third.signIn(clerks[2])
	third.click("details:has(button[name=return]) summary")
	third.fill(map[string]string{"reason": "请核对诊疗科目"})
	third.press("return")
	third.waits("待复核")
	second.open(application)
	if page := second.text("document.body.innerText"); !strings.Contains(page, "请核对诊疗科目") {
		t.Errorf("the second clerk is not told why it came back:\n%s", page)
	}
	second.press("approve")
	second.waits("待复审")
	third.open(application)
	third.press("approve")
	third.see(".code img")
	code, err := base64.StdEncoding.DecodeString(third.text(`(() => { const x = new XMLHttpRequest(); x.open("GET", location.pathname + "/qr.png", false);
		x.overrideMimeType("text/plain; charset=x-user-defined"); x.send(); return btoa([...x.responseText].map((c) => String.fromCharCode(c.charCodeAt(0) & 255)).join("")) })()`))
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, "verify", "--data", dir, "--json", write(t, filepath.Join(files, "qr.png"), code)); r.code != 0 || !strings.Contains(r.out, `"valid"`) || !strings.Contains(r.out, "东湖康宁门诊部") {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.err)
	}
	s.stop(t)
	if last := run(t, "fsck", "--data", dir).last(); !strings.HasSuffix(last, "problems=0") {
		t.Error(last)
	}
}

// absent wants a page that has been drawn without a button of that name.
func (b tab) absent(button string) {
	b.t.Helper()
	b.see(".summary")
	if b.text(`document.querySelector("button[name=`+button+`]")`) != "null" {
		b.t.Errorf("%s can be pressed at %s", button, b.text("location.pathname"))
	}
}

// waits waits until the page says that something stands so.
func (b tab) waits(word string) {
	b.t.Helper()
	b.verdict("", func() bool { return b.text(`document.querySelector(".tag")?.innerText`) == word })
}

// attach sends a file with an application.
func (b tab) attach(slot, path string) {
	b.t.Helper()
	b.do(chromedp.WaitReady(chromedp.CSS("form[enctype]")))
	b.text(`(() => { const d = document.querySelector("details:has(form[enctype])"); if (d) d.open = true; return 1 })()`)
	b.do(chromedp.SetUploadFiles(chromedp.CSS("[name=file]"), []string{path}))
	b.fill(map[string]string{"slot": slot})
	b.press("attach")
}

// drawing is a small picture, PNG.
func drawing(t *testing.T) []byte {
	t.Helper()
	plan := image.NewRGBA(image.Rect(0, 0, 64, 48))
	plan.Set(5, 7, color.RGBA{200, 30, 30, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, plan); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPapersByPages: what a type asks of its holder is sent in a browser before a clerk
// can approve, and a file is what it is by its content, whatever its name says.
func TestPapersByPages(t *testing.T) {
	const transport = "jiangcheng-transport"
	dir := filepath.Join(t.TempDir(), "city")
	s := demo(t, dir, anyPort...)
	clerk, _ := s.clerksOf(t, transport)
	b, desk := tab{t, testkit.Browser(t)}, tab{t, testkit.Browser(t)}
	b.open(s.Issuer + "/wallet/apply/new/taxi-driver?lang=zh")
	b.signIn(s.Citizens[0])
	b.see("[name=service_area]")
	b.fill(map[string]string{"agency": transport, "kind": "巡游出租汽车驾驶员", "driving_class": "C1", "driving_since": "2012-05-04", "service_area": "江城市"})
	b.press("submit")
	b.see("form[enctype]")
	address := b.text("location.href")
	id := address[strings.LastIndexByte(address, '/')+1:]

	application := s.Issuer + "/desk/applications/" + id
	desk.open(application + "?lang=zh")
	desk.signIn(clerk)
	desk.press("approve")
	desk.verdict("", func() bool {
		return strings.Contains(desk.text("document.body?.innerText"), "申请人尚未提交必需材料")
	})
	desk.open(application)
	desk.waits("待复核")

	path := filepath.Join(t.TempDir(), "photo.png")
	b.attach("photo", write(t, path, []byte("<html><body>a photograph</body></html>")))
	b.see(".problems")
	b.attach("photo", write(t, path, drawing(t)))
	b.see(`a[href*="/attachments/"]`)
	if kind := b.text(`(() => { const x = new XMLHttpRequest(); x.open("GET", document.querySelector('a[href*="/attachments/"]').href, false); x.send(); return x.getResponseHeader("Content-Type") })()`); kind != "image/png" {
		t.Errorf("the file comes back as %s", kind)
	}

	desk.open(application)
	desk.see(`a[href*="/attachments/"]`)
	desk.press("approve")
	desk.see(".code img")
	b.open(address)
	b.waits("已签发")
}
