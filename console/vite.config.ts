// How the console is built: a chunk for each page, no inline script or style, and every file packed beside itself.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Two files of the components write styles into the page; under our policy a browser refuses that. Ours stands in. */
function styles(): Plugin {
  const ours = join(here, 'src/csp/styles.ts');
  const theirs = [/@rc-component\/util\/(es|lib)\/Dom\/dynamicCSS\.js$/, /@ant-design\/icons\/(es|lib)\/cssUtils\.js$/];
  return {
    name: 'huidu-styles',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      if (!/dynamicCSS|cssUtils/.test(source)) return null;
      const found = await this.resolve(source, importer, { ...options, skipSelf: true });
      return found && theirs.some((name) => name.test(found.id)) ? ours : found;
    },
  };
}

/** `.gz` beside every file, so that the server packs nothing. */
function packed(): Plugin {
  return {
    name: 'huidu-packed',
    closeBundle() {
      const dist = join(here, 'dist');
      for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && !path.endsWith('.gz')) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: '/console/',
  plugins: [styles(), react(), packed()],
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, manifest: 'manifest.json', chunkSizeWarningLimit: 1500 },
  server: { proxy: { '/api': 'http://127.0.0.1:8081' } },
});
