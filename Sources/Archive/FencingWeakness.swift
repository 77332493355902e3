extension StoreCapabilities {
    /// What the store lacks for two writers to be kept apart at every moment, in words that follow its name; nil where nothing is lacking, or
    /// nothing is known before a probe.
    public var fencingWeakness: String? {
        guard contains(.probed), !contains(.conditionalCreate) else { return nil }
        guard contains(.exclusiveCollections) else {
            let late = contains(.move) ? "an object" : "an object or a claim"
            return "ignores If-None-Match and has no exclusive collections: of two writers that claim an epoch at one moment the later one gets it, and the other is told by its next look; \(late) can be replaced by a late request"
        }
        guard contains(.move) else {
            return "ignores If-None-Match and has no MOVE that keeps what is there: an epoch goes to one writer only, but an object or a claim can be replaced by a late request or by a second machine under the same identity"
        }
        return "ignores If-None-Match: an epoch goes to one writer only, but an object can be replaced by a late request or by a second machine under the same identity"
    }
}
