package repo

import (
	"strings"
	"testing"
)

func TestMark(t *testing.T) {
	h := Head{1042, strings.Repeat("9c1f2ab3", 8)}
	const device = "8f3a09bc12de4567"
	m := MarkOf(device, h)
	if want := device + ":1042:" + strings.Repeat("9c1f2ab3", 4); m.String() != want {
		t.Fatalf("%s, want %s", m, want)
	}
	full := Mark{device, h.Seq, h.SHA}.String()
	for _, text := range []string{m.String(), full, strings.ToUpper(full), " 8f3a 09bc 12de 4567 : 1042 :\n" + strings.Repeat("9c1f 2ab3 ", 4)} {
		got, err := ParseMark(text)
		if err != nil || !got.Is(device, h) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, other := range []Head{{1041, h.SHA}, {1042, strings.Replace(h.SHA, "9c1f", "9c10", 1)}} {
		if m.Is(device, other) || m.Is("0f3a09bc12de4567", h) {
			t.Errorf("%s is taken for %v", m, other)
		}
	}
	for _, bad := range []string{
		"", "::", device, device + ":1042", device + ":0:" + h.SHA, device + ":-1:" + h.SHA, device + ":x:" + h.SHA,
		device + ":1042:" + h.SHA[:31], device + ":1042:" + h.SHA + "0", device + ":1042:" + strings.Repeat("g", 32),
		device[1:] + ":1042:" + h.SHA, device + ":1042:" + h.SHA + ":",
	} {
		if m, err := ParseMark(bad); err == nil {
			t.Errorf("%q was taken for %v", bad, m)
		}
	}
}
