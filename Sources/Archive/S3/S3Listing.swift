/// One page of a ListObjectsV2 reply. Strict: what is cut short, lacks a field or leads nowhere is an error, never a shorter listing.
struct S3ListingPage: Sendable {
    /// Keys in the bucket.
    private(set) var keys: [String] = []
    /// Where the next page begins; nil: this is the last one.
    private(set) var next: String?

    init(_ body: [UInt8]) throws(ArchiveError) {
        func refuse(_ reason: String) -> ArchiveError {
            ArchiveError(.invalid, "the store's listing cannot be read: \(reason)", hint: "check that the endpoint is that of an S3-compatible store")
        }
        let root: XMLElement
        do throws(XMLFault) {
            root = try XMLElement(document: body)
        } catch {
            throw refuse(error.reason)
        }
        guard root.name == "ListBucketResult" else { throw refuse("its root is <\(root.name)>") }
        for element in root.children where element.name == "Contents" {
            guard let key = element.text(of: "Key"), !key.isEmpty else { throw refuse("an entry has no key") }
            keys.append(key)
        }
        // Only asked for with a delimiter, which we do not send: keys would be missing.
        guard !root.children.contains(where: { $0.name == "CommonPrefixes" }) else { throw refuse("it leaves keys out") }
        switch root.text(of: "IsTruncated") {
        case "false": break
        case "true":
            guard let token = root.text(of: "NextContinuationToken"), !token.isEmpty else { throw refuse("it goes on, and does not say where") }
            next = token
        default: throw refuse("it does not say whether it goes on")
        }
    }
}

extension S3Store {
    public func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        if current.contains(.probed), !current.contains(.list) {
            throw ArchiveError(.unsupported, "\(name) cannot list", key: prefix, hint: "allow these keys s3:ListBucket")
        }
        return try await walk(prefix)
    }

    /// `list` whatever the probe has found: the probe itself asks this way. Keys that none of ours can have are somebody else's and left out.
    func walk(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        let base = address.key("")
        let wanted = address.key("\(prefix.path)/")
        var found: Set<ObjectKey> = []
        var token: String?
        repeat {
            let page = try await page(of: wanted, after: token, prefix)
            for key in page.keys {
                guard key.utf8.starts(with: wanted.utf8) else {
                    throw ArchiveError(.invalid, "\(name) listed keys that were not asked for", key: prefix)
                }
                let path = String(decoding: key.utf8.dropFirst(base.utf8.count), as: UTF8.self)
                if ObjectKey.isValid(path) { found.insert(ObjectKey(path)) }
            }
            guard found.count <= HTTPLimits.listedKeysMax else {
                throw ArchiveError(.invalid, "more than \(HTTPLimits.listedKeysMax) objects lie below \(name)/\(prefix)", key: prefix)
            }
            // Pages that lead back, or bring nothing and never end.
            guard page.next == nil || (page.next != token && !page.keys.isEmpty) else {
                throw ArchiveError(.invalid, "the listing of \(name)/\(prefix) does not end", key: prefix)
            }
            token = page.next
        } while token != nil
        return found.sorted()
    }

    private func page(of wanted: String, after token: String?, _ prefix: ObjectKey) async throws(ArchiveError) -> S3ListingPage {
        var query = [("list-type", "2"), ("max-keys", String(listingPageKeys)), ("prefix", wanted)]
        if let token { query.append(("continuation-token", token)) }
        var request = HTTPRequest(.get, address.url(query: query))
        request.responseLimit = S3Limits.listingPageMax
        let response = try await exchange(request, prefix)
        // Also a missing bucket's 404: a missing prefix is an empty page.
        guard response.status == 200, !S3Failure.isHidden(in: response) else { throw refusal(response, to: request, key: prefix) }
        return try S3ListingPage(response.body)
    }
}
