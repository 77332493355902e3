import Archive
import Testing

/// The error that `body` throws; records an issue when it throws none, or another one.
func failure<T>(_ body: () async throws -> T, at location: SourceLocation = #_sourceLocation) async -> ArchiveError? {
    do {
        let value = try await body()
        Issue.record("gave \(value) where an error was due", sourceLocation: location)
    } catch let error as ArchiveError {
        return error
    } catch {
        Issue.record("threw \(error)", sourceLocation: location)
    }
    return nil
}
