package desk_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// scan is a small picture, another one for each shade.
func scan(t testing.TB, shade uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 8, 8))
	m.SetGray(1, 1, color.Gray{shade})
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	return b.Bytes()
}

func (c *city) upload(who, path, key, slot string, file []byte) answer {
	c.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	must(c.t, m.WriteField("key", key))
	must(c.t, m.WriteField("slot", slot))
	if file != nil {
		w, err := m.CreateFormFile("file", "../../etc/passwd")
		must(c.t, err)
		_, err = w.Write(file)
		must(c.t, err)
	}
	must(c.t, m.Close())
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+path+"/attachments", &b)
	must(c.t, err)
	r.Header.Set("Content-Type", m.FormDataContentType())
	return c.send(who, r)
}

// TestFilesOfAnApplication are added by clerk and holder, seen by those two alone, and
// kept sealed.
func TestFilesOfAnApplication(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		by := c.firm("lin")
		id := c.sendIn(by, feeding())
		path := "/desk/applications/" + id
		picture, key := scan(t, 7), db.NewID()
		for range 2 { // a repetition adds nothing
			c.upload("mu", path, key, "floor-plan", picture).to(t, path)
		}
		c.upload("mu", path, key, "lease", picture).is(t, http.StatusConflict)
		for name, tt := range map[string]struct {
			key, slot string
			file      []byte
			says      string
		}{
			"no file":     {db.NewID(), "lease", nil, "请选择一个文件"},
			"no slot":     {db.NewID(), "", picture, "请选择材料名称"},
			"wrong slot":  {db.NewID(), "photo", picture, "请选择材料名称"},
			"no picture":  {db.NewID(), "lease", []byte("<html>"), "只接受 PDF、JPEG 或 PNG"},
			"cut off":     {db.NewID(), "lease", picture[:len(picture)-9], "不完整"},
			"too large":   {db.NewID(), "lease", append(bytes.Clone(picture), make([]byte, 5<<20)...), "不得超过 5 MB"},
			"no key":      {"", "lease", picture, "表单已失效"},
			"a wrong key": {"' OR 1=1", "lease", picture, "表单已失效"},
		} {
			a := c.upload("mu", path, tt.key, tt.slot, tt.file)
			if a.status != http.StatusBadRequest || !strings.Contains(a.text, tt.says) {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
		file := licenses.File{Slot: "lease", Key: db.NewID(), Body: append(bytes.Clone(picture), "a tail"...)}
		must(t, c.Attach(t.Context(), by, id, file))
		must(t, c.Attach(t.Context(), by, id, file))
		applied, err := c.Applied(t.Context(), by, id)
		must(t, err)
		if len(applied.Attached) != 2 || applied.Attached[0].FromHolder || !applied.Attached[1].FromHolder || applied.Attached[1].Size != int64(len(picture)) {
			t.Fatalf("%+v", applied.Attached)
		}
		page := c.get("wan", path)
		page.has(t, "经营场所平面图", "场所租赁合同", "申请人")
		for _, one := range applied.Attached {
			a := c.get("wan", path+"/attachments/"+one.ID)
			if a.status != 200 || a.body != string(picture) || a.header.Get("Content-Type") != "image/png" || a.header.Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
				t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.header)
			}
			got, err := c.Attachment(t.Context(), by, id, one.ID)
			if err != nil || !bytes.Equal(got.Body, picture) {
				t.Error(err)
			}
			_, err = c.Attachment(t.Context(), c.holder("lin"), id, one.ID) // the person is not the firm
			wantKind(t, err, fault.NotFound)
			c.get("an", path+"/attachments/"+one.ID).is(t, http.StatusNotFound) // of another agency
			c.get("wan", c.apply("mu")+"/attachments/"+one.ID).is(t, http.StatusNotFound)
		}
		c.upload("an", path, db.NewID(), "lease", picture).is(t, http.StatusNotFound)
		wantKind(t, c.Attach(t.Context(), c.holder("lin"), id, licenses.File{Slot: "lease", Key: db.NewID(), Body: picture}), fault.NotFound)
		c.wantSealed(t, picture)
		want := "license.application.submit lin, license.application.attach mu, license.application.attach lin"
		if got := strings.Join(c.events("application:"+id), ", "); got != want {
			t.Errorf("events %s", got)
		}
		c.post("wan", path, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
		wantKind(t, c.Attach(t.Context(), by, id, licenses.File{Slot: "lease", Key: db.NewID(), Body: picture}), fault.Conflict)
		c.upload("mu", path, db.NewID(), "lease", picture).is(t, http.StatusConflict)
		must(t, c.Attach(t.Context(), by, id, file)) // what was done stays done
		c.get("wan", path).has(t, "场所租赁合同")
	})
}

// wantSealed looks for the bytes of a file in the table.
func (c *city) wantSealed(t *testing.T, plain []byte) {
	t.Helper()
	must(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		rows, err := tx.QueryContext(t.Context(), "SELECT body FROM license_attachments")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			if bytes.Contains(b, plain[:16]) {
				t.Error("a file is not sealed")
			}
		}
		return rows.Err()
	}))
}

// TestTenFiles: no more, also when they come all at once.
func TestTenFiles(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		id := c.sendIn(by, feeding())
		errs := make([]error, 16)
		var race sync.WaitGroup
		for i := range errs {
			file := licenses.File{Slot: "lease", Key: db.NewID(), Body: scan(t, uint8(i))}
			race.Go(func() { errs[i] = c.Attach(t.Context(), by, id, file) })
		}
		race.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
			} else {
				wantKind(t, err, fault.Conflict)
			}
		}
		if taken != 10 {
			t.Errorf("%d were taken, want 10", taken)
		}
		if page := c.get("wan", "/desk/applications/"+id); strings.Contains(page.body, "multipart") {
			t.Error("the page asks for more")
		}
	})
}

// TestRequiredPapers: what a holder has to send in is there before anybody approves; a
// clerk who typed the application in has seen the paper.
func TestRequiredPapers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		_, err := c.reg.Authorize(t.Context(), "ceremony", registry.Authority{Agency: "donghu-amr", Type: "public-venue-hygiene", Area: "990101",
			From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(5, 0, 0).Truncate(time.Second)})
		must(t, err)
		by := c.firm("lin")
		id := c.sendIn(by, licenses.Claim{Type: "public-venue-hygiene", Agency: "donghu-amr", Key: db.NewID(), Data: map[string]any{"trade_name": "碧波泳馆", "premises": "江城市东湖区湖滨路20号", "person_in_charge": "林若川", "venue": "游泳场（馆）", "area_m2": float64(900)}})
		path := "/desk/applications/" + id
		c.get("wan", path).has(t, "尚未提交必需材料：场所平面布局图")
		a := c.post("wan", path, url.Values{"approve": {"1"}})
		if a.status != http.StatusConflict || !strings.Contains(a.text, "场所平面布局图") {
			t.Errorf("%d %s", a.status, a.text)
		}
		key := c.key("wan", "/desk/applications")
		c.post("wan", "/desk/applications", ticked(key, "approve", "", path)).has(t, "0 / 1", "场所平面布局图")
		must(t, c.Attach(t.Context(), by, id, licenses.File{Slot: "water-test", Key: db.NewID(), Body: scan(t, 1)}))
		c.post("wan", path, url.Values{"approve": {"1"}}).is(t, http.StatusConflict)
		must(t, c.Attach(t.Context(), by, id, licenses.File{Slot: "floor-plan", Key: db.NewID(), Body: scan(t, 2)}))
		if page := c.get("wan", path); strings.Contains(page.text, "尚未提交") {
			t.Error(fmt.Sprint("still missing: ", page.text))
		}
		c.post("wan", path, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
	})
}
