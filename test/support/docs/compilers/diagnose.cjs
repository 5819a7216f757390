// Run as `node diagnose.cjs <folder of a TypeScript> <folder> <project>...`: checks these projects of the folder and prints
// one line for each error. One process checks all of them, because a compiler takes most of its time to load, and to parse
// the declarations that all projects share.
const { dirname, join, relative } = require('node:path')

const [, , compiler, root, ...projects] = process.argv
const ts = require(compiler)
const parsed = new Map()

for (const project of projects) {
  for (const line of check(join(root, project, 'tsconfig.json'))) console.log(`${project}: ${line}`)
}

function check(file) {
  const { config } = ts.readConfigFile(file, ts.sys.readFile)
  const { options, fileNames, errors } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(file))
  if (ts.versionMajorMinor === '6.0') options.ignoreDeprecations = '6.0'
  const program = ts.createProgram(fileNames, options, createHost(options))
  const sources = program.getSourceFiles().filter(({ fileName }) => isChecked(fileName))
  const diagnostics = [
    ...errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...sources.flatMap((source) => program.getSyntacticDiagnostics(source)),
    ...sources.flatMap((source) => program.getSemanticDiagnostics(source)),
  ]
  return diagnostics.map((diagnostic) => format(diagnostic, dirname(file)))
}

/** The projects and the package. `skipLibCheck: false` also checks other packages, whose errors are not ours. */
function isChecked(fileName) {
  return fileName.startsWith(`${root}/`)
}

/** Projects with the same kind of modules share what was parsed of other packages, as with `tsc --build`. */
function createHost(options) {
  const host = ts.createCompilerHost(options)
  const parse = host.getSourceFile
  host.getSourceFile = (fileName, version, ...rest) => {
    if (isChecked(fileName)) return parse(fileName, version, ...rest)
    const key = `${version.impliedNodeFormat} ${fileName}`
    if (!parsed.has(key)) parsed.set(key, parse(fileName, version, ...rest))
    return parsed.get(key)
  }
  return host
}

function format({ file, start, code, messageText }, folder) {
  const message = ts.flattenDiagnosticMessageText(messageText, ' ')
  if (file === undefined) return `TS${code}: ${message}`
  const { line } = file.getLineAndCharacterOfPosition(start)
  return `${relative(folder, file.fileName)}:${line + 1}: TS${code}: ${message}`
}
