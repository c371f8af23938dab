package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/folder"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/price"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/s3server"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/web"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/feed"
	"github.com/tunesafe/tunesafe/sync/past"
	"github.com/tunesafe/tunesafe/sync/stock"
)

// Mistakes that only the command line can see.
var (
	errNoHomeDir       = errors.New("no home folder can be told")
	errInHome          = errors.New("lies inside the home, which may be deleted")
	errNoBucketRight   = errors.New("no such bucket, and no right to create it")
	errRepoHere        = errors.New("holds a repository already")
	errNoRepoHere      = errors.New("holds no repository")
	errNoStoreDir      = errors.New("no such folder")
	errNoRoot          = errors.New("the key opens the repository's data but cannot enrol a new device")
	errNoMountPoint    = errors.New("no such folder")
	errNotFolder       = errors.New("is no folder")
	errNotEmpty        = errors.New("the folder is not empty")
	errMounted         = errors.New("something is mounted there already")
	errMountDenied     = errors.New("the folder may not be written to")
	errNotMounted      = errors.New("this home is not mounted there")
	errInUse           = errors.New("in use")
	errNoFUSE          = errors.New("FUSE is not available")
	errFUSEDenied      = errors.New("this user may not use FUSE")
	errAllowOther      = errors.New("--allow-other is not allowed for users other than root")
	errStarting        = errors.New("the process that serves this home is still starting")
	errDied            = errors.New("the background process ended before the drive was ready")
	errTimeout         = errors.New("not everything is safe yet")
	errNotOnDrive      = errors.New("not on the drive")
	errChangedNow      = errors.New("was changed meanwhile")
	errOnDrive         = errors.New("lies on the drive itself")
	errCopied          = errors.New("this home is a copy of another, or was restored: it goes on as a device of its own")
	errNeedsKey        = errors.New("to go on as a device of its own it needs the recovery key")
	errOtherDevice     = errors.New("another device wrote within the last day")
	errProblems        = errors.New("the repository has problems")
	errUnrepaired      = errors.New("not all could be put right")
	errGiveUpBeside    = errors.New("what is lost cannot be given up while the drive is in use")
	errNoRecoveryKey   = errors.New("this home holds no recovery key")
	errManyPaths       = errors.New("two paths would be restored under one name")
	errOwnDrive        = errors.New("is on the drive itself")
	errOwnStore        = errors.New("lies in the folder of the store")
	errNoPlaces        = errors.New("no folder is backed up yet")
	errPartly          = errors.New("could not be read and stay in the backup as they were")
	errHeld            = errors.New("held, as what happened to them looks like a disaster; the backup keeps them as they were")
	errNothingHeld     = errors.New("nothing is held")
	errNoAgent         = errors.New("no agent serves this home")
	errAgentRuns       = errors.New("an agent serves this home already")
	errShown           = errors.New("the drive is mounted there already")
	errNeeded          = errors.New("something needs you")
	errOtherHome       = errors.New("is not of this home")
	errNoTerminal      = errors.New("a secret is needed, and nobody is there to type it")
	errNotTheSame      = errors.New("the two passphrases are not the same")
	errShortPassphrase = errors.New("the passphrase is too short")
	errReadOnlyHome    = errors.New("this home was made with a key that only reads: it can change nothing in the backup")
	errNotCopied       = errors.New("the home stays with the old place, as the new one has not all of it")
	errKitExists       = errors.New("is there already")
	errOtherKit        = errors.New("is a page of another repository")
	errOtherRoot       = errors.New("has another public root than this home: what this home opened is not the repository that the page is of")
	errNoDevice        = errors.New("no machine of the repository has that name or id")
	errManyDevices     = errors.New("several machines have that name")
	errOwnDevice       = errors.New("is this home itself")
	errNoSnapshot      = errors.New("nothing was backed up yet then")
	errNeverThere      = errors.New("was never in the backup")
	errNotThen         = errors.New("was not on the drive then")
	errNoFile          = errors.New("is no file")
	errFedHere         = errors.New("is fed from a folder of this machine")
	errNoToken         = errors.New("there is no such token")
	errTokenExists     = errors.New("there is a token of that name")
	errShortPassword   = errors.New("the password is too short")
	errNoPage          = errors.New("the page is not served")
	errNoService       = errors.New("no service manager of this user could be reached")
)

// message says what to do about an error, and how it is put.
type message struct {
	is   error // as by errors.Is
	hint string
	exit int // 0 stands for exitFailed

	final bool // what it stopped never goes on
}

// messages is searched from the top; the first that fits is taken.
var messages = []message{
	{is: errNoHomeDir, hint: "give --home DIR"},
	{is: errInHome, hint: "choose a folder outside it"},
	{is: errNoBucketRight, hint: "check the bucket's name, or create it with your provider, or use credentials that may"},
	{is: errRepoHere, hint: "to open it give --recovery-key FILE or --passphrase-file FILE; to make another choose another prefix or folder"},
	{is: errNoRepoHere, hint: "check bucket and prefix, or the folder; to make a new repository leave out --recovery-key"},
	{is: errNoStoreDir, hint: "check the folder's name; a store elsewhere is named with --store s3://bucket/prefix"},
	{is: errNoRoot, hint: "use the recovery key that was shown when the repository was created, or another that opens everything: tunesafe keys list"},
	{is: errNoTerminal, hint: "run it in a terminal, or give --recovery-key FILE or the passphrase in a file; see tunesafe help of the command"},
	{is: errNotCopied, hint: "give the command again, without --copied: what is missing is copied; tunesafe check tells whether the old place has the same problems"},
	{is: store.ErrDamaged, hint: "run tunesafe check --read on the old place, and tunesafe repair"},
	{is: errKitExists, hint: "name another file, or delete it"},
	{is: errOtherKit, hint: "name the page of this repository, or another home with --home DIR"},
	{is: errOtherRoot, hint: "whoever holds the bucket may have put another repository in its place; make a home from a copy of the bucket that you trust"},
	{is: recoverykit.ErrPage, hint: "name one of the files that tunesafe recovery-kit wrote, or give the heads on the page with --head"},
	{is: recoverykit.ErrShare, hint: "compare it with the page, letter by letter; it begins with TUNESAFE-SHARE-"},
	{is: recoverykit.ErrTooFewShares, hint: "each page says how many are needed"},
	{is: recoverykit.ErrMixedShares, hint: "use pages of one kit: their date is the same"},
	{is: errNoDevice, hint: "tunesafe devices lists them"},
	{is: errManyDevices, hint: "give the id; tunesafe devices lists them"},
	{is: errOwnDevice, hint: "retire it from another machine"},
	{is: errNotTheSame, hint: "type it again"},
	{is: errShortPassphrase, hint: "five words that nobody would put together are good: whoever has a copy of the bucket can try passphrases at leisure"},
	{is: errReadOnlyHome, hint: "make a home with a key that opens everything: tunesafe init --home DIR --recovery-key FILE"},
	{is: errNoMountPoint, hint: "create it: mkdir -p DIR"},
	{is: errNotFolder, hint: "name an empty folder"},
	{is: errNotEmpty, hint: "name an empty folder; what is in this one would be hidden by the drive"},
	{is: errMounted, hint: "name another folder, or unmount what is there"},
	{is: errMountDenied, hint: "name a folder of your own"},
	{is: errNotMounted, hint: "tunesafe status names the mounts of a home; another home is named with --home DIR"},
	{is: errInUse, hint: "close the programs that use the drive; fuser -vm DIR lists them"},
	{is: errNoFUSE, hint: "install fuse3 and load the module (modprobe fuse); a container needs --device /dev/fuse --cap-add SYS_ADMIN"},
	{is: errFUSEDenied, hint: "have root allow it: chmod 666 /dev/fuse, as most systems do"},
	{is: errAllowOther, hint: "have user_allow_other set in /etc/fuse.conf, or mount without --allow-other"},
	{is: errStarting, hint: "try again in a moment; tunesafe logs -f shows what it does"},
	{is: errDied, hint: "see tunesafe logs"},
	{is: errTimeout, hint: "tunesafe status shows the progress", exit: exitTimeout},
	{is: errNotOnDrive, hint: "paths begin at the top of the drive; tunesafe ls lists it"},
	{is: errChangedNow, hint: "begin again, for what is there now"},
	{is: errOnDrive, hint: "restore to a folder elsewhere"},
	{is: errCopied, hint: "nothing is lost; what both changed is on the drive twice, one with the name of this machine"},
	{is: errNeedsKey, hint: "tunesafe repair --recovery-key FILE; until then nothing is uploaded, and nothing is lost"},
	{is: tsync.ErrCloned, hint: "unmount the drive and mount it again: the home goes on as a device of its own, and nothing is lost"},
	{is: errOtherDevice, hint: "where both change the same file the newer change wins; the older one stays in the repository"},
	{is: errProblems, hint: "tunesafe repair --bucket puts back what this home, the folders or others still have; until then keep the bucket as it is", exit: exitFound},
	{is: errGiveUpBeside, hint: "end what serves the home first: tunesafe unmount, or the agent; then tunesafe repair --bucket --give-up"},
	{is: errUnrepaired, exit: exitFound, hint: "name folders or homes that may have what is lost: --from DIR; if there is none, --give-up ends the search"},
	{is: errNoRecoveryKey, hint: "it is in the home that created the repository, and wherever you keep your copy"},
	{is: errManyPaths, hint: "restore them one by one"},
	{is: errOwnDrive, hint: "what is on the drive is backed up by itself"},
	{is: errOwnStore, hint: "name the folder with your music"},
	{is: errNoPlaces, hint: "name one: tunesafe backup DIR"},
	{is: errNotDeleted, hint: "with credentials that may delete, prune again; where the store locks objects, it lets them go when the time has come", exit: exitPartly},
	{is: tsync.ErrStranger, hint: "run tunesafe check; tunesafe repair --bucket puts back what this computer has of it, and tunesafe devices lists them"},
	{is: stock.ErrNoRoom, hint: "pin less, or make room on the disk of the home"},
	{is: stock.ErrNotPinned, hint: "tunesafe pins lists what is, by the names to use"},
	{is: tsync.ErrUnsettled, hint: "mount the drive, or run tunesafe wait, and prune then"},
	{is: errPartly, hint: "the warnings say which and why; the next backup tries them again", exit: exitPartly},
	{is: errHeld, hint: "if it was meant: tunesafe approve, and back up again; if not: mend the folder, or tunesafe reject", exit: exitHeld},
	{is: errNothingHeld, hint: "tunesafe status shows what is"},
	{is: folder.ErrNoFolder, hint: "if it is on a disk that is away, bring that back and back up again; nothing in the backup was changed"},
	{is: feed.ErrMoved, hint: "back up again; nothing in the backup was changed"},
	{is: feed.ErrNameTaken, hint: "choose another name with --as NAME; --take-over feeds the folder of that name that the drive has"},
	{is: feed.ErrOtherName, hint: "leave out --as, or end that backup first: tunesafe backup --detach NAME"},
	{is: feed.ErrNoName, hint: "choose one with --as NAME"},
	{is: feed.ErrNoPlace, hint: "tunesafe status lists the places"},
	{is: errNoAgent, hint: "start it with tunesafe agent, or once and for all with tunesafe install; tunesafe backup backs up without one"},
	{is: errAgentRuns, hint: "tunesafe status shows what it does"},
	{is: errShown, hint: "tunesafe unmount it first"},
	{is: errNeeded, hint: "tunesafe status says what", exit: exitNeeds},
	{is: errOtherHome, hint: "name the other home with --home DIR"},
	{is: errNoSnapshot, hint: "tunesafe snapshots lists the moments"},
	{is: errNeverThere, hint: "paths begin at the top of the drive; tunesafe ls lists it, and tunesafe diff what came and went"},
	{is: errNotThen, hint: "tunesafe history PATH tells when it was there"},
	{is: past.ErrNothing, hint: "tunesafe history PATH tells what was changed and when"},
	{is: past.ErrWaits, hint: "tunesafe wait first, then undo"},
	{is: past.ErrGap, hint: "tunesafe snapshots tells which moments that is about; tunesafe restore --at TIME PATH… DEST gives back what is known of it"},
	{is: past.ErrFed, hint: "tunesafe restore --at TIME PATH… DEST gives back what was, to be put into that folder"},
	{is: past.ErrPruned, hint: "tunesafe history lists the other versions; the newest ones are always kept"},
	{is: errNoFile, hint: "tunesafe ls lists what is on the drive"},
	{is: errFedHere, hint: "put it into that folder, or upload it elsewhere on the drive"},
	{is: errNoToken, hint: "tunesafe web token list names them"},
	{is: errTokenExists, hint: "tunesafe web token remove it first, or choose another name"},
	{is: errShortPassword, hint: "five words that nobody would put together are good"},
	{is: errNoPage, hint: "tunesafe web serves it"},
	{is: web.ErrNoPassword, hint: "set one: tunesafe web password, or --password-file FILE; without --listen the page is for this computer alone"},
	{is: web.ErrNoTLS, hint: "give --tls-cert FILE and --tls-key FILE, or --acme DOMAIN; or leave out --listen, and reach the page through ssh -L 8863:127.0.0.1:8863"},
	{is: web.ErrTwoCertificates, hint: "leave out one"},
	{is: web.ErrACMEAddress, hint: "give the address of its directory, such as https://ca.example/acme/acme/directory"},
	{is: web.ErrACMEStranger, hint: "give the root certificate that it is signed by: --acme-ca FILE"},
	{is: web.ErrACMEProof, hint: "under that name, at port 443, the ACME server must reach this page: see to the name's address in the DNS, and to the router's and firewall's port 443"},
	{is: web.ErrACMERefused, hint: "the name must be one that the server gives certificates for; of a limit it has, wait until it is over"},
	{is: web.ErrACMEAway, hint: "see that this machine reaches it; --acme-server names another, and --tls-cert needs none"},
	{is: errNoService, hint: "start tunesafe agent in another way at login; the settings are kept in config.toml"},
	{is: agent.ErrPaused, hint: "tunesafe resume first"},

	{is: home.ErrNone, hint: "run tunesafe init first, or name the home with --home DIR"},
	{is: home.ErrExists, hint: "another home is named with --home DIR"},
	{is: home.ErrForeign, hint: "name an empty or new folder with --home DIR"},
	{is: home.ErrConfig, hint: "correct the file by hand"},
	{is: price.ErrTable, hint: "correct the file by hand; without it the program's own prices are used"},
	{is: home.ErrKeyFile, hint: "put the file back from a copy of the home; or make another home with tunesafe init --home DIR --recovery-key FILE, and leave this one as it is: what was not uploaded lies in its folder cache/content"},
	{is: home.ErrRecoveryFile, hint: "put it back from your copy; the file needs a line that begins with AGE-SECRET-KEY-1"},

	{is: repo.ErrPassphrase, hint: "tunesafe keys list, on a machine that has a home, names the keys"},
	{is: repo.ErrLastKey, hint: "add another first: tunesafe keys add"},
	{is: repo.ErrKeyExists, hint: "tunesafe keys remove it first, or choose another name"},
	{is: repo.ErrNoKey, hint: "tunesafe keys list names them"},
	{is: repo.ErrRetired, hint: "if that is this machine: it still has all that it had, and uploads nothing more; make a new home with tunesafe init --home DIR --recovery-key FILE, and back up there what was not safe yet (tunesafe ls -l, tunesafe restore / DIR)", final: true},
	{is: repo.ErrWrongKey, hint: "give the recovery key that was shown when this repository was created"},
	{is: repo.ErrNewerFormat, hint: "install a newer version of tunesafe"},
	{is: repo.ErrExists, hint: "to open it give --recovery-key FILE; to make another choose another prefix"},
	{is: repo.ErrNoRepository, hint: "check the store in the home's config.toml; the bucket may have been emptied or replaced"},
	{is: repo.ErrCorrupt, hint: "run tunesafe check"},
	{is: repo.ErrMissing, hint: "run tunesafe check"},
	{is: repo.ErrSignature, hint: "run tunesafe check; somebody else may have written to the bucket"},
	{is: repo.ErrFork, hint: "this home may be a copy of another; make a new one with tunesafe init --recovery-key FILE"},
	{is: repo.ErrChain, hint: "the bucket may have been rolled back, or lost a part of its log: tunesafe check tells what is missing, and tunesafe repair --bucket puts back what it can"},
	{is: repo.ErrOwed, hint: "it is still on its way from the device that has it"},

	{is: cache.ErrLocked, hint: "end the other process first"},
	{is: cache.ErrDamaged, hint: "tunesafe repair rebuilds it from the store and keeps what was never uploaded; nothing in the store is touched"},
	{is: cache.ErrNewerHome, hint: "install a newer version of tunesafe"},
	{is: cache.ErrOwed, hint: "it is still on its way from the device that has it"},
	{is: store.ErrArchived, hint: "have your provider restore it (at Amazon: RestoreObject), and take the repository out of the lifecycle rule that archives it"},
	{is: cache.ErrUnavailable, hint: "check the network and try again"},

	{is: s3server.ErrNoXattr, hint: "choose a folder on a filesystem such as ext4, xfs or btrfs"},
	{is: syscall.EADDRINUSE, hint: "choose another address with --listen HOST:PORT"},

	{is: store.ErrClock, hint: "set this machine's clock; timedatectl set-ntp true keeps it right"},
	{is: store.ErrNoBucket, hint: "check the bucket's name and the endpoint"},
	{is: store.ErrDenied, hint: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the home's credentials.toml, and their rights on the bucket"},
	{is: store.ErrNoLock, hint: "a bucket is given Object Lock when it is made: name one that does not exist yet, make one with it at your provider, or leave out --lock; credentials need s3:PutObjectRetention, s3:GetObjectRetention, s3:ListBucketVersions and s3:DeleteObjectVersion"},
	{is: store.ErrLocked, hint: "prune again after that date"},
	{is: store.ErrKept, hint: "let the credentials delete versions (s3:DeleteObjectVersion, s3:ListBucketVersions), or have a rule of the bucket delete noncurrent versions"},
	{is: store.ErrClass, hint: "give a class that the store has, or none"},
	{is: store.ErrFull, hint: "make room in the store or raise its quota"},
	{is: store.ErrUnavailable, hint: "check the network and the endpoint, then try again"},

	{is: syscall.ENOSPC, hint: "free some space on the disk that holds the folder named"},
	{is: syscall.EDQUOT, hint: "free some space, or have your quota raised"},
	{is: syscall.EROFS, hint: "make the disk writable again, and check it: the kernel turns a disk read-only that has errors (dmesg says so); then try again"},
	{is: fs.ErrPermission, hint: "run as the user who owns it"},
	{is: control.ErrNoOwner, hint: "mount the drive with tunesafe mount DIR"},
	{is: control.ErrEnded, hint: "see tunesafe logs"},
	{is: context.Canceled, hint: "nothing is lost; the command can be given again"},
}

// explain makes an error ready for people.
func explain(err error) *control.Fault {
	if f, ok := errors.AsType[*control.Fault](err); ok {
		return f
	}
	if u, ok := errors.AsType[*usageError](err); ok {
		return &control.Fault{Text: oneLine(u.text), Hint: usageHint(u.command), Exit: exitUsage}
	}
	if b, ok := errors.AsType[*home.BusyError](err); ok {
		return &control.Fault{Text: b.Error(), Hint: "wait until it ends, or unmount its drive with tunesafe unmount DIR", Exit: exitFailed}
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", context.Canceled)
	}
	for _, m := range messages {
		if errors.Is(err, m.is) {
			return &control.Fault{Text: put(err, m.is), Hint: m.hint, Exit: max(m.exit, exitFailed), Final: m.final}
		}
	}
	return &control.Fault{Text: oneLine(err.Error()), Exit: exitFailed}
}

func usageHint(command string) string {
	if command == "" {
		return "tunesafe help lists the commands"
	}
	return "see tunesafe help " + command
}

// storeErrors come with what the S3 client tells of request ids and attempts.
var storeErrors = []error{
	store.ErrClock, store.ErrNoBucket, store.ErrDenied, store.ErrFull, store.ErrUnavailable,
	store.ErrArchived, store.ErrClass, store.ErrNoLock, store.ErrKept,
}

// put words an error. Of a store's only what comes up to the sentinel is for
// people, and why it could not be reached; the whole is in the log.
func put(err, is error) string {
	text := strings.TrimSuffix(err.Error(), ": "+context.Canceled.Error())
	said := is.Error()
	ofStore := slices.ContainsFunc(storeErrors, func(s error) bool { return errors.Is(err, s) })
	if i := strings.Index(text, said); i >= 0 && ofStore {
		text = text[:i+len(said)]
	}
	if is == store.ErrUnavailable {
		text = withReason(text, err)
	}
	return oneLine(text)
}

// withReason adds why a store could not be reached.
func withReason(text string, err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return text + ": no address of " + dns.Name
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		if errno, ok := errors.AsType[syscall.Errno](op.Err); ok {
			return text + ": " + op.Addr.String() + ": " + errno.Error()
		}
		return text + ": " + op.Addr.String()
	}
	return text
}

// oneLine keeps a message on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// report prints an error and gives the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	f := explain(err)
	fmt.Fprintf(w, "error: %s\n", f.Text)
	if f.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", f.Hint)
	}
	return f.Exit
}

// warn prints what went wrong without ending the command.
func warn(w io.Writer, f *control.Fault) {
	fmt.Fprintf(w, "warning: %s\n", f.Text)
	if f.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", f.Hint)
	}
}
