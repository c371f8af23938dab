package repo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Device is this installation: what signs its commits. It is secret.
type Device struct {
	ID   string // 16 hexadecimal digits
	Name string // the host's, for people
	Key  ed25519.PrivateKey
}

// Certificate is the root key's word that a device belongs to the repository.
type Certificate struct {
	Device   string
	Name     string
	Key      ed25519.PublicKey
	Enrolled time.Time
	Retired  *Retirement // nil if it is not
	Sig      []byte      // the root key's, over what FORMAT.md §3 says
}

// certificate is devices/<device>.age.
type certificate struct {
	Device   string `json:"device"`
	Name     string `json:"name"`
	Key      string `json:"key"`
	Enrolled string `json:"enrolled"`
	Sig      string `json:"sig"`
}

// signed is what the root key signs.
func (c *certificate) signed() []byte {
	return []byte("tunesafe device 1 " + c.Device + " " + c.Key + " " + c.Enrolled + "\n")
}

// NewDevice makes a device that is not enrolled: it reads, and nobody takes in
// what it would commit.
func NewDevice(name string) (*Device, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	var random [8]byte
	rand.Read(random[:])
	return &Device{ID: hex.EncodeToString(random[:]), Name: strings.ToValidUTF8(name, "?"), Key: private}, nil
}

// Enrol makes a new device and writes its certificate.
func Enrol(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, name string) (*Device, error) {
	if err := k.checkRoot(root); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	d, err := NewDevice(name)
	if err != nil {
		return nil, err
	}
	c := certificate{
		Device: d.ID, Name: d.Name, Key: b64.EncodeToString(d.Key.Public().(ed25519.PublicKey)),
		Enrolled: time.Now().UTC().Format(time.RFC3339),
	}
	c.Sig = b64.EncodeToString(ed25519.Sign(root, c.signed()))
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := putSealed(ctx, st, "devices/"+d.ID+".age", append(text, '\n'), k.ring.Load().recipient); err != nil {
		return nil, err
	}
	return d, nil
}

// Devices reads the certificates, with what was said of devices that were
// retired, after k took the key epochs that were begun: see [Keys.TakeFor]. Those
// that are not valid are left out and given as errors that name them, in the order of their
// names; the last error means that the list itself could not be read.
func Devices(ctx context.Context, st store.Store, k *Keys) (map[string]Certificate, []error, error) {
	l, err := listDevices(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	var bad []error
	if err := k.take(ctx, st, l.epochs); isBad(err) {
		bad = append(bad, err)
	} else if err != nil {
		return nil, nil, err
	}
	read := make([]Certificate, len(l.certificates))
	wrong := make([]error, len(l.certificates))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelGets)
	for i, name := range l.certificates {
		g.Go(func() (err error) {
			read[i], wrong[i], err = l.member(gctx, st, k, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	certs := map[string]Certificate{}
	for i, c := range read {
		if c.Device != "" {
			certs[c.Device] = c
		}
		if wrong[i] != nil {
			bad = append(bad, wrong[i])
		}
	}
	return certs, bad, nil
}

// member reads a certificate and, if its device was retired, what was said of it. wrong
// is about one of the two objects, err about the way to them.
func (l *deviceList) member(ctx context.Context, st store.Store, k *Keys, name string) (c Certificate, wrong, err error) {
	c, err = getCertificate(ctx, st, k, name)
	if err == nil && l.retired[c.Device] {
		c.Retired, err = getRetirement(ctx, st, k, c.Device)
	}
	if isBad(err) {
		return c, err, nil
	}
	return c, nil, err
}

// deviceList is what lies below devices/.
type deviceList struct {
	certificates []string
	retired      map[string]bool
	epochs       map[string]int // the newest for each device
}

// ListedDevices gives the devices that a listing of devices/ has, but for those that
// were retired. Nothing of it is verified.
func ListedDevices(infos []store.Info) (devices []string) {
	retired := map[string]bool{}
	for _, info := range infos {
		if device, ok := parseRetiredName(info.Key); ok {
			retired[device] = true
		}
	}
	for _, info := range infos {
		device := strings.TrimSuffix(path.Base(info.Key), ".age")
		if isHex(device, 16) && !retired[device] {
			devices = append(devices, device)
		}
	}
	return devices
}

func listDevices(ctx context.Context, st store.Store) (*deviceList, error) {
	l := &deviceList{retired: map[string]bool{}, epochs: map[string]int{}}
	for info, err := range st.List(ctx, "devices/", "") {
		if err != nil {
			return nil, err
		}
		if device, epoch, ok := parseEpochName(info.Key); ok {
			l.epochs[device] = max(l.epochs[device], epoch)
		} else if device, ok := parseRetiredName(info.Key); ok {
			l.retired[device] = true
		} else {
			l.certificates = append(l.certificates, info.Key)
		}
	}
	return l, nil
}

// isBad tells an error that is about one object from one about the way to it.
func isBad(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrSignature) }

func getCertificate(ctx context.Context, st store.Store, k *Keys, name string) (Certificate, error) {
	text, err := getSealed(ctx, st, name, k.ring.Load().identities...)
	if errors.Is(err, ErrWrongKey) {
		err = fmt.Errorf("%s: %w: sealed to another repository's key", name, ErrCorrupt)
	}
	return k.parseCertificate(name, text, err)
}

func (k *Keys) parseCertificate(name string, text []byte, err error) (Certificate, error) {
	if err != nil {
		return Certificate{}, err
	}
	var c certificate
	if err := json.Unmarshal(text, &c); err != nil {
		return Certificate{}, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	key, err1 := b64.DecodeString(c.Key)
	sig, err2 := b64.DecodeString(c.Sig)
	enrolled, err3 := time.Parse(time.RFC3339, c.Enrolled)
	switch {
	case err1 != nil, err2 != nil, err3 != nil, len(key) != ed25519.PublicKeySize, !isHex(c.Device, 16):
		return Certificate{}, fmt.Errorf("%s: %w: malformed certificate", name, ErrCorrupt)
	case path.Base(name) != c.Device+".age":
		return Certificate{}, fmt.Errorf("%s: %w: certificate of device %s", name, ErrCorrupt, c.Device)
	case !ed25519.Verify(k.root, c.signed(), sig):
		return Certificate{}, fmt.Errorf("%s: certificate %w: not the root key's signature", name, ErrSignature)
	}
	return Certificate{Device: c.Device, Name: c.Name, Key: key, Enrolled: enrolled, Sig: sig}, nil
}

// deviceFile is how a home keeps its [Device].
type deviceFile struct {
	Device string `json:"device"`
	Name   string `json:"name"`
	Seed   string `json:"seed"`
}

// MarshalJSON gives the device as a file for the home, of mode 0600.
func (d *Device) MarshalJSON() ([]byte, error) {
	return json.Marshal(deviceFile{d.ID, d.Name, b64.EncodeToString(d.Key.Seed())})
}

// ParseDevice is the inverse of [Device.MarshalJSON].
func ParseDevice(text []byte) (*Device, error) {
	var f deviceFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("device: malformed")
	}
	seed, err := b64.DecodeString(f.Seed)
	if err != nil || len(seed) != ed25519.SeedSize || !isHex(f.Device, 16) {
		return nil, errors.New("device: malformed")
	}
	return &Device{f.Device, f.Name, ed25519.NewKeyFromSeed(seed)}, nil
}
