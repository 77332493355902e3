import Foundation

/// The project's own files, read by the tests of the house.
enum House {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func text(_ path: String) throws -> String { try String(contentsOf: root.appending(path: path), encoding: .utf8) }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appending(path: path).path) }

    /// Paths of all files below `folder` with one of these endings, relative to the project, in order. Not what is built or hidden.
    static func files(_ folder: String, _ endings: String...) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path)
            .filter { path in endings.contains { path.hasSuffix($0) } && !path.hasPrefix(".") && !path.contains("/.") }
            .map { folder.isEmpty ? $0 : "\(folder)/\($0)" }.sorted()
    }

    /// The Markdown pages: those at the root and below docs, Tests and Examples.
    static func pages() throws -> [String] {
        let top = try FileManager.default.contentsOfDirectory(atPath: root.path).filter { $0.hasSuffix(".md") }
        return try top.sorted() + files("docs", ".md") + files("Tests", ".md") + files("Examples", ".md")
    }

    /// The lines of the first block ```` ```language ```` in a page.
    static func block(_ language: String, in page: String) throws -> String? {
        guard let start = page.range(of: "\n```\(language)\n"), let end = page[start.upperBound...].range(of: "\n```") else { return nil }
        return String(page[start.upperBound..<end.lowerBound]) + "\n"
    }
}
