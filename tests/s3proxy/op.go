package s3proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// Op names the S3 operation of a path-style request as AWS does. Operations on
// a part of an object or bucket, such as its ACL, are named after the part:
// "GetBucket:versioning".
func Op(r *http.Request) string {
	bucket, key := target(r)
	q := r.URL.Query()
	switch {
	case bucket == "":
		return first(q, r.Method, bucketless[r.Method])
	case key == "":
		return first(q, r.Method, onBucket[r.Method])
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		if q.Has("partNumber") {
			return "UploadPartCopy"
		}
		return "CopyObject"
	}
	return first(q, r.Method, onObject[r.Method])
}

// named is an operation and the query parameter that makes it; the one without
// a parameter comes last.
type named struct{ param, op string }

var bucketless = map[string][]named{
	http.MethodGet: {{"", "ListBuckets"}},
}

var onBucket = map[string][]named{
	http.MethodGet: {
		{"location", "GetBucketLocation"}, {"uploads", "ListMultipartUploads"},
		{"versions", "ListObjectVersions"}, {"list-type", "ListObjectsV2"},
		{"versioning", "GetBucket:versioning"}, {"object-lock", "GetBucket:object-lock"},
		{"acl", "GetBucket:acl"}, {"policy", "GetBucket:policy"}, {"lifecycle", "GetBucket:lifecycle"},
		{"encryption", "GetBucket:encryption"}, {"tagging", "GetBucket:tagging"}, {"cors", "GetBucket:cors"},
		{"", "ListObjects"},
	},
	http.MethodHead: {{"", "HeadBucket"}},
	http.MethodPut: {
		{"versioning", "PutBucket:versioning"}, {"object-lock", "PutBucket:object-lock"},
		{"acl", "PutBucket:acl"}, {"policy", "PutBucket:policy"}, {"lifecycle", "PutBucket:lifecycle"},
		{"encryption", "PutBucket:encryption"}, {"tagging", "PutBucket:tagging"}, {"cors", "PutBucket:cors"},
		{"", "CreateBucket"},
	},
	http.MethodPost:   {{"delete", "DeleteObjects"}, {"", "PostObject"}},
	http.MethodDelete: {{"", "DeleteBucket"}},
}

var onObject = map[string][]named{
	http.MethodGet: {
		{"uploadId", "ListParts"}, {"acl", "GetObject:acl"}, {"tagging", "GetObject:tagging"},
		{"attributes", "GetObject:attributes"}, {"retention", "GetObject:retention"},
		{"legal-hold", "GetObject:legal-hold"}, {"", "GetObject"},
	},
	http.MethodHead: {{"", "HeadObject"}},
	http.MethodPut: {
		{"partNumber", "UploadPart"}, {"acl", "PutObject:acl"}, {"tagging", "PutObject:tagging"},
		{"retention", "PutObject:retention"}, {"legal-hold", "PutObject:legal-hold"}, {"", "PutObject"},
	},
	http.MethodPost: {
		{"uploads", "CreateMultipartUpload"}, {"uploadId", "CompleteMultipartUpload"}, {"", "PostObject"},
	},
	http.MethodDelete: {{"uploadId", "AbortMultipartUpload"}, {"", "DeleteObject"}},
}

// first is the first operation whose parameter the query has, or the method.
func first(q url.Values, method string, ops []named) string {
	for _, n := range ops {
		if n.param == "" || q.Has(n.param) {
			return n.op
		}
	}
	return method
}

// Key is the key of the object that a path-style request is about, or for a
// listing the prefix that it asks for.
func Key(r *http.Request) string {
	if _, key := target(r); key != "" {
		return key
	}
	return r.URL.Query().Get("prefix")
}

func target(r *http.Request) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key
}

// folder is the first element of key below root, with its slash, or nothing
// for a key without one.
func folder(root, key string) string {
	key = strings.TrimPrefix(key, root)
	return key[:strings.IndexByte(key, '/')+1]
}
