#!/usr/bin/env node
import { createCli } from './commands.js'

process.exitCode = await createCli({ stdout: process.stdout, stderr: process.stderr }).run(process.argv.slice(2))
