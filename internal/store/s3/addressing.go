package s3

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Addressing says where in a request the bucket's name stands.
type Addressing string

// The ways of addressing. AWS wants the name in the host, and gives up the other
// way; few other servers have a host name for every bucket.
const (
	AddressAuto    Addressing = ""        // by host at AWS, by path elsewhere
	AddressPath    Addressing = "path"    // https://host/bucket/key
	AddressVirtual Addressing = "virtual" // https://bucket.host/key
)

// Check reports why a bucket cannot be addressed so.
func (a Addressing) Check(endpoint, bucket string) error {
	switch a {
	case AddressAuto, AddressPath:
		return nil
	case AddressVirtual:
	default:
		return fmt.Errorf("addressing is auto, path or virtual, not %q", string(a))
	}
	if strings.Contains(bucket, ".") {
		return fmt.Errorf("a bucket with a dot in its name, %s, can only be addressed by path: no certificate is for its host", bucket)
	}
	if host := hostOf(endpoint); net.ParseIP(host) != nil {
		return fmt.Errorf("virtual addressing needs an endpoint with a name, not %s", host)
	}
	return nil
}

// byPath tells whether the bucket's name stands in the path. The SDK does so by
// itself for names that cannot be in a host.
func (a Addressing) byPath(endpoint string) bool {
	switch a {
	case AddressPath:
		return true
	case AddressVirtual:
		return false
	}
	return endpoint != "" && !isAWS(hostOf(endpoint))
}

func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// isAWS knows the names of AWS, in China too.
func isAWS(host string) bool {
	host = strings.ToLower(host)
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}
