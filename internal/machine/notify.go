package machine

import (
	"github.com/godbus/dbus/v5"
)

// Notify shows a message on the desktop of this user, org.freedesktop.Notifications
// of the Desktop Notifications Specification. It stays until it is closed.
func Notify(title, text string) error {
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer bus.Close()
	const untilClosed, critical = int32(0), byte(2)
	return bus.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").
		Call("org.freedesktop.Notifications.Notify", 0, "Tunesafe", uint32(0), "drive-harddisk", title, text,
			[]string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(critical)}, untilClosed).Err
}
