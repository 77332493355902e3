/// The rules for a log's parameters, the same for every store.
enum LogParameters {
    static func isValid(segmentSize: Int) -> Bool {
        segmentSize > 0 && FormatLimits.isSegmentSize(UInt64(segmentSize))
    }

    /// The maximum record size that holds from now on: stored with the log, and only ever raised.
    static func maxRecordSize(stored: Int?, requested: Int?) throws(WALError) -> Int {
        if let requested, !(1...LogLimits.maxRecordSizeMax).contains(requested) {
            throw .parameterMismatch(
                parameter: "maximum record size", stored: stored.map(String.init) ?? "1 to \(LogLimits.maxRecordSizeMax) bytes",
                requested: stored == nil ? "\(requested)" : "\(requested) (allowed: 1 to \(LogLimits.maxRecordSizeMax))")
        }
        guard let stored else { return requested ?? LogLimits.maxRecordSizeDefault }
        guard let requested else { return stored }
        guard requested >= stored else {
            throw .parameterMismatch(parameter: "maximum record size", stored: "\(stored)", requested: "\(requested)")
        }
        return requested
    }
}
