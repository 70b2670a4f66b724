import { defineConfig } from "vite";

// What comes out is committed, and CI compares: nothing of it may depend on the machine or the time.
export default defineConfig({
  base: "./", // it is served below a path that it does not know
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // they have light-dark()
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: { output: { codeSplitting: false } },
  },
});
